/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic of positions as text: one message for each stream, and one for the host, whose owner says which
 * process writes now. All of one transactional.id are in one partition.
 *
 *   key    ID                        value  1 TAB owner TAB partitions TAB where
 *   key    ID TAB input TAB stream   value  1 TAB offset TAB token TAB meta (both hexadecimal)
 *
 * The 1 is the format. A message without a value says that the stream is no more. In input and stream, '%'
 * and control characters are written as %XX.
 */
#ifndef OUT_KAFKA_KEPT_H
#define OUT_KAFKA_KEPT_H

#include <stdint.h>
#include <weir/json.h>
#include <weir/plugin.h>

/* A message as it was read. */
struct kept_message {
    const char *key, *value; /* value NULL: none */
    size_t key_size, value_size;
};

/* What one id has in the topic. */
struct kept_table {
    const char *id;
    void *rows; /* tree of struct kept_row, by key */
    size_t count;
    bool owned; /* there is a message for the host */
    char owner[64], where[256];
    int partitions;
};

void kept_init(struct kept_table *, const char *id);
void kept_finish(struct kept_table *);
/*
 * Takes the next message of the partition; those of other ids are passed over. 0; -ENOMEM; -ENOTSUP: a newer
 * format; -EUCLEAN: not what weir writes.
 */
int kept_take(struct kept_table *, const struct kept_message *);
/* Tells fn every position. 0, what fn returned, or -EUCLEAN. */
int kept_tell(const struct kept_table *, weir_kept_fn fn, void *data);

/* The partition of that id. */
int kept_partition(const char *id, int partitions);
/* Appends key and value of a position, or of the host. 0 or -ENOMEM. */
int kept_write_key(struct weir_json *, const char *id, const struct weir_kept *);
int kept_write_value(struct weir_json *, const struct weir_kept *);
int kept_write_owner(struct weir_json *, const char *owner, int partitions, const char *where);

#endif
