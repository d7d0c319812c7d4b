/* SPDX-License-Identifier: Apache-2.0 */
/* weir's commands for authors of plugins. Each takes the arguments behind its name and returns the exit
 * status. */
#ifndef WEIR_KIT_H
#define WEIR_KIT_H

/* NAME --input|--output DIR: writes a small whole project. */
int new_plugin(int argc, char **argv);

/* FILE.so [--option K=V]… [--cycles N] [--limit TIME]: whether it keeps to what plugin.h says. */
int check_plugin(int argc, char **argv);

#endif
