/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: which inputs, outputs and routes there are, and the way from start to stop. It belongs to the
 * control thread; the getters at the end may be called on any.
 */
#ifndef WEIR_CORE_ENGINE_H
#define WEIR_CORE_ENGINE_H

#include <weir/plugin.h>
#include "checkpoint.h"
#include "config.h"
#include "metrics.h"
#include "plugin.h"
#include "pool.h"
#include "problem.h"
#include "router.h"

struct engine;
struct input;
struct spools;

enum exit_status { EXIT_STOPPED = 0, EXIT_CONFIG = 1, EXIT_START = 2, EXIT_FAILED = 3 };

/* Makes every instance and destroys it again: finds what is wrong, opens nothing. 0 or -EINVAL. */
int engine_check(const struct config *, struct registry *, struct problems *);

/* The configuration as it is now, for a reload; the caller frees it. What is wrong is added to problems;
 * NULL: no memory. */
typedef struct config *(*engine_load_fn)(void *data, struct problems *);

/*
 * Runs until it is told to stop, or everything has ended. Returns an enum exit_status. With EXIT_CONFIG, what
 * is wrong is in problems; all else is in the log.
 */
int engine_run(const struct config *, struct registry *, engine_load_fn, void *data, struct problems *);

/* The set of inputs that a source owns is now this; see plugin.h. Any thread; the answer comes on the owner's
 * loop. */
int engine_set_inputs(struct input *owner, const struct weir_input_spec *, uint32_t spec_size, size_t count,
                      weir_applied_fn done, void *data);

/* weir's status for an input; see plugin.h. Its loop, where the answer comes as well. */
int engine_ask_status(struct input *, uint64_t limit, weir_status_fn, void *data);

/* What instances were told; the instance's own event call. Control thread. */
void engine_on_events(struct weir_instance *, unsigned events);

/* -- For instances and the host table. -- */
const struct weir_host *engine_host(void);
struct weir_loop *engine_control(struct engine *);
struct metrics *engine_metrics(struct engine *);
struct router *engine_router(struct engine *);
struct pool *engine_pool(struct engine *);
struct checkpoint *engine_checkpoint(struct engine *);
struct spools *engine_spools(struct engine *);
/* The folder of what is kept, or NULL. Any thread. */
const char *engine_data_dir(const struct engine *);
/* Whether no plugin may be called: see engine_build_options. */
bool engine_is_options_only(const struct engine *);
/* The settings in force; a reload changes them where they stand. Control thread. */
const struct service *engine_service(struct engine *);
/* The first and the longest pause before an output tries again. Any thread. */
void engine_retry_pauses(struct engine *, uint64_t *ret_base, uint64_t *ret_cap);

#endif
