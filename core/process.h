/* SPDX-License-Identifier: Apache-2.0 */
/* What is set for the whole process before anything runs. Control thread, before any other. */
#ifndef WEIR_CORE_PROCESS_H
#define WEIR_CORE_PROCESS_H

/* malloc's thresholds, and as many descriptors as the system grants (the hard limit). */
void process_prepare(void);

#endif
