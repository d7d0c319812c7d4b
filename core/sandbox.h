/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.sandbox: what the configuration names is what the process can reach, held by the kernel, whatever a
 * plugin or an input does. It is put in force once, between the making of the instances and the first thread,
 * and can't be widened: so a later configuration that needs more is refused. Control thread.
 */
#ifndef WEIR_CORE_SANDBOX_H
#define WEIR_CORE_SANDBOX_H

#include <stdio.h>
#include "engine.h"
#include "instance.h"

struct sandbox;
struct text_out;

/*
 * What an engine needs that was built (its options suffice), and not started. Problems tell what can't be let
 * through, or will not be since it is not there yet (a warning). NULL: no memory.
 */
struct sandbox *sandbox_plan(const struct engine *, struct problems *);
void sandbox_destroy(struct sandbox *); /* takes NULL; what is in force stays */

/*
 * Puts it in force. 0, or a negative errno and *ret_error, a sentence for the caller to free: then half of it
 * may be in force, and weir must end.
 */
int sandbox_enforce(struct sandbox *, char **ret_error);

/*
 * Whether it lets through what an instance's options, and its kind's common ones, name. Each that it does not
 * is added to problems. True without a sandbox (NULL).
 */
bool sandbox_admits(const struct sandbox *, const struct weir_instance *, const struct weir_option *common,
                    const void *values, struct problems *);
/* The same for the service section. */
bool sandbox_admits_service(const struct sandbox *, const struct service *, struct problems *);

/* What holds: one line in the log; or what would, for people; and as a member of the status. */
void sandbox_log(const struct sandbox *);
void sandbox_print(const struct sandbox *, FILE *);
void sandbox_put_status(const struct sandbox *, struct text_out *); /* NULL: null */

#endif
