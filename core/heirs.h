/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs that go on from the positions of another one. Whoever edits the path of an input, or gives it an
 * alias, means the same input, but what its positions are kept under is another text then. Control thread.
 */
#ifndef WEIR_CORE_HEIRS_H
#define WEIR_CORE_HEIRS_H

#include <stdbool.h>
#include <stddef.h>

struct engine;
struct input;

/*
 * Of those configured inputs that are new (none has been started yet) and have no positions: finds the
 * identities that each takes the place of, which no input has any more or one that stops; or says that it
 * begins anew though there are such.
 */
void heirs_find(struct engine *);
/* Whether an input that it takes the place of is still there. */
bool heirs_must_wait(const struct engine *, const struct input *);
/* It is about to start: it is given the positions. Also of an input whose source takes another one's place.
 */
void heirs_take(struct engine *, struct input *);

/* How many identities have positions and are no input's: nobody drops them, since an input that comes back
 * would begin anew. */
size_t heirs_count_former(const struct engine *);

/* Takes NULL. */
struct heir;
void heirs_free(struct heir *);

#endif
