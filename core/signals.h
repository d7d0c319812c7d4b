/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signals that weir takes while it runs: SIGTERM, SIGINT, SIGHUP, SIGUSR1. From the first line of a run
 * on none of them ends the process by its default action. Control thread, before there are others.
 */
#ifndef WEIR_CORE_SIGNALS_H
#define WEIR_CORE_SIGNALS_H

#include <signal.h>

/*
 * While the configuration is read, which may take long (a pipe, a file system that does not answer): SIGHUP
 * and SIGUSR1 wait until the engine takes them, SIGTERM and SIGINT end the process with status 0, as nothing
 * has begun yet.
 */
void signals_hold(void);

/*
 * All of them wait for the engine. Before any thread is made, also by a plugin's file, its create or a
 * library of its: they inherit it, and a thread that takes the signal itself ends the process. Returns the
 * set.
 */
sigset_t signals_block(void);

#endif
