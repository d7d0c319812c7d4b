/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager, as systemd's notification protocol has it (sd_notify(3)): when weir is ready, reloads
 * and stops, and that it is alive. Without NOTIFY_SOCKET nothing happens. Control thread.
 */
#ifndef WEIR_CORE_SUPERVISOR_H
#define WEIR_CORE_SUPERVISOR_H

#include <stddef.h>
#include <stdint.h>

struct supervisor;
struct weir_loop;

/*
 * Reads NOTIFY_SOCKET and, for the watchdog, WATCHDOG_USEC and WATCHDOG_PID. NULL: no memory. A socket that
 * can't be used is told in the log.
 */
struct supervisor *supervisor_create(struct weir_loop *control);
void supervisor_destroy(struct supervisor *); /* takes NULL */

/*
 * From here on, weir is alive as long as the control loop and these loops come round: each is sent a call,
 * twice in the watchdog's time, and all must have run it before the manager is told. 0 or -ENOMEM.
 */
int supervisor_watch(struct supervisor *, struct weir_loop *const *loops, size_t count);

/*
 * From now on, a plugin's callback that has not come back for `limit` ns (0: never) is named in the log,
 * once. It is found within twice that time.
 */
void supervisor_name_hangs(struct supervisor *, uint64_t limit);

void supervisor_ready(struct supervisor *, size_t inputs, size_t outputs); /* also after a reload */
void supervisor_reloading(struct supervisor *);
void supervisor_stopping(struct supervisor *);

#endif
