/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text with variables. The parts of a template point into its source. Output thread.
 */
#include "template.h"

/* The part that begins at text. Returns where the next one begins, or NULL. */
static const char *read_part(const char *text, struct template_part *ret)
{
    const char *end;

    ret->kind = TEMPLATE_TEXT;
    ret->text = text;
    if (strncmp(text, "${", 2) != 0) {
        end = strstr(text, "${");
        ret->size = end ? (size_t)(end - text) : strlen(text);
        return text + ret->size;
    }
    end = strchr(text, '}');
    if (!end || end == text + 2)
        return NULL;
    ret->text = text + 2;
    ret->size = (size_t)(end - ret->text);
    ret->kind = TEMPLATE_FIELD;
    if (ret->size == 3 && !memcmp(ret->text, "tag", 3))
        ret->kind = TEMPLATE_TAG;
    else if (ret->size == 5 && !memcmp(ret->text, "topic", 5))
        ret->kind = TEMPLATE_TOPIC;
    return end + 1;
}

int template_init(struct template *template, const char *source)
{
    struct template t = {0};
    const char *at = source;

    t.parts = calloc(strlen(source) / 2 + 1, sizeof(*t.parts));
    if (!t.parts)
        return -ENOMEM;
    while (at && *at) {
        at = read_part(at, &t.parts[t.count]);
        t.fields = t.fields || (at && t.parts[t.count].kind == TEMPLATE_FIELD);
        t.count++;
    }
    if (!at) {
        free(t.parts);
        return -EINVAL;
    }
    *template = t;
    return 0;
}

void template_finish(struct template *template)
{
    free(template->parts);
    memset(template, 0, sizeof(*template));
}

static int put_field(const struct template_part *part, const struct weir_record *record,
                     struct weir_json *text, size_t *missing)
{
    struct weir_value value;

    if (!record || !weir_record_find(record, part->text, part->size, &value)) {
        ++*missing;
        return 0;
    }
    if (value.type == WEIR_TYPE_STR || value.type == WEIR_TYPE_BIN)
        return weir_json_text(text, value.data, value.size);
    return weir_json_value(text, &value) == -ENOMEM ? -ENOMEM : 0;
}

static int put_variable(const struct template_part *part, const struct weir_chunk *chunk,
                        const struct weir_record *record, struct weir_json *text, size_t *missing)
{
    const char *word = chunk->tag;

    if (part->kind == TEMPLATE_FIELD)
        return put_field(part, record, text, missing);
    if (part->kind == TEMPLATE_TOPIC && *chunk->topic)
        word = chunk->topic;
    return weir_json_text(text, word, strlen(word));
}

int template_render(const struct template *template, const struct weir_chunk *chunk,
                    const struct weir_record *record, template_clean_fn clean, struct weir_json *text,
                    size_t *ret_missing)
{
    size_t missing = 0;

    for (size_t i = 0; i < template->count; i++) {
        const struct template_part *part = &template->parts[i];
        size_t from = text->size;
        int rc = part->kind == TEMPLATE_TEXT ? weir_json_text(text, part->text, part->size)
                                             : put_variable(part, chunk, record, text, &missing);
        if (rc == 0 && clean && part->kind != TEMPLATE_TEXT) {
            rc = weir_json_reserve(text, 1);
            if (rc == 0)
                clean(text, from);
        }
        if (rc)
            return rc;
    }
    *ret_missing = missing;
    return 0;
}
