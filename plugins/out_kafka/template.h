/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text with ${tag}, ${topic} and ${field} in it, for the name of a topic and for headers. Made once; used on
 * one thread.
 */
#ifndef OUT_KAFKA_TEMPLATE_H
#define OUT_KAFKA_TEMPLATE_H

#include <weir/json.h>
#include <weir/plugin.h>

enum template_kind { TEMPLATE_TEXT, TEMPLATE_TAG, TEMPLATE_TOPIC, TEMPLATE_FIELD };

struct template_part {
    enum template_kind kind;
    const char *text; /* points into the template's source: the literal, or the field's name */
    size_t size;
};

struct template
{
    struct template_part *parts;
    size_t count;
    bool fields; /* needs a record */
};

/* Of a value in a name: changes it in place where it must not stand there as it is. */
typedef void (*template_clean_fn)(struct weir_json *text, size_t from);

/*
 * The source must outlive the template. 0; -ENOMEM; -EINVAL where a "${" has no name or no "}". Nothing is to
 * be finished then.
 */
int template_init(struct template *, const char *source);
void template_finish(struct template *);

/*
 * Appends the text for one record. `record` may be NULL if `fields` is false. clean (or NULL) is called for
 * what each variable brought. 0 and *ret_missing, fields that the record does not have (they count as empty);
 * -ENOMEM.
 */
int template_render(const struct template *, const struct weir_chunk *, const struct weir_record *record,
                    template_clean_fn clean, struct weir_json *text, size_t *ret_missing);

#endif
