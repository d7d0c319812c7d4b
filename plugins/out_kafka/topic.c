/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of topics, and the table of those in use. Output thread.
 *
 * Data from a log can't leave the literal beginning of a template: what Kafka does not allow in a name
 * becomes "_", also an empty value, and a name made of data alone can't be one of Kafka's own, which begin
 * with "__".
 */
#include "topic.h"
#include "sticky.h"

static bool is_legal(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* There is room for one byte more. */
static void clean(struct weir_json *text, size_t from)
{
    if (text->size == from)
        text->data[text->size++] = '_';
    for (size_t i = from; i < text->size; i++)
        if (!is_legal(text->data[i]))
            text->data[i] = '_';
}

const char *topic_check_name(const char *name, size_t size)
{
    if (size == 0)
        return "the name of a topic is empty";
    if (size > TOPIC_NAME_MAX)
        return "the name of a topic is longer than Kafka's 249 characters";
    if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')))
        return "'.' and '..' can't be names of topics";
    for (size_t i = 0; i < size; i++)
        if (!is_legal(name[i]))
            return "the name of a topic may hold letters, digits, '.', '_' and '-' only";
    return NULL;
}

const char *topic_check_template(const char *source)
{
    struct template template;
    const char *reason = NULL;

    if (!*source)
        return "the name of a topic is empty";
    if (strchr(source, ','))
        return "one topic is expected, not a list; it may hold ${tag}, ${topic} and $${field}";
    if (template_init(&template, source))
        return "'${' begins the name of a field and ends with '}', as in ${topic}";
    for (size_t i = 0; i < template.count && !reason; i++) {
        const struct template_part *part = &template.parts[i];
        for (size_t at = 0; part->kind == TEMPLATE_TEXT && at < part->size; at++)
            if (!is_legal(part->text[at]))
                reason = "the name of a topic may hold letters, digits, '.', '_' and '-' only";
    }
    if (!reason && template.count == 1 && template.parts[0].kind == TEMPLATE_TEXT)
        reason = topic_check_name(source, strlen(source));
    template_finish(&template);
    return reason;
}

int topics_init(struct topics *topics, const char *source)
{
    struct topics t = {.bucket_count = 256};
    int rc = template_init(&t.template, source ? source : "${topic}");

    if (rc)
        return rc;
    t.buckets = calloc(t.bucket_count, sizeof(struct topic *));
    if (!t.buckets) {
        template_finish(&t.template);
        return -ENOMEM;
    }
    if (t.template.count && t.template.parts[0].kind == TEMPLATE_TEXT)
        t.prefix = t.template.parts[0].size;
    *topics = t;
    return 0;
}

void topics_release(struct topics *topics)
{
    for (size_t i = 0; i < topics->bucket_count; i++) {
        for (struct topic *t = topics->buckets[i]; t; t = t->next) {
            if (t->handle)
                rd_kafka_topic_destroy(t->handle);
            t->handle = NULL;
            sticky_drop(t);
        }
    }
}

void topics_finish(struct topics *topics)
{
    struct topic *t, *next;

    topics_release(topics);
    for (size_t i = 0; i < topics->bucket_count; i++) {
        for (t = topics->buckets[i]; t; t = next) {
            next = t->next;
            free(t);
        }
    }
    free(topics->buckets);
    weir_json_finish(&topics->name);
    template_finish(&topics->template);
}

static size_t hash_name(const char *name, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

static struct topic *add(struct topics *topics, struct topic **bucket, const char *name, size_t size)
{
    struct topic *t;

    if (topics->count >= TOPIC_COUNT_MAX)
        return NULL;
    t = calloc(1, sizeof(*t) + size + 1);
    if (!t)
        return NULL;
    memcpy(t->name, name, size);
    t->sticky = topics->sticky;
    atomic_init(&t->partition, RD_KAFKA_PARTITION_UA);
    t->size = size;
    t->next = *bucket;
    *bucket = t;
    topics->count++;
    return t;
}

struct topic *topics_get(struct topics *topics, const char *name, size_t size)
{
    struct topic **bucket = &topics->buckets[hash_name(name, size) % topics->bucket_count];
    struct topic *t = *bucket;

    while (t && (t->size != size || memcmp(t->name, name, size) != 0))
        t = t->next;
    return t ? t : add(topics, bucket, name, size);
}

static bool is_kafkas_own(const struct topics *topics)
{
    return topics->prefix < 2 && topics->name.size >= 2 && !memcmp(topics->name.data, "__", 2) &&
           topics->template.fields;
}

int topics_find(struct topics *topics, const struct weir_chunk *chunk, const struct weir_record *record,
                struct topic **ret, const char **ret_reason)
{
    size_t missing;
    struct topic *t;
    int rc;

    topics->name.size = 0;
    rc = template_render(&topics->template, chunk, record, clean, &topics->name, &missing);
    if (rc)
        return rc;
    *ret_reason = topic_check_name(topics->name.data, topics->name.size);
    if (!*ret_reason && is_kafkas_own(topics))
        *ret_reason = "a field of a record can't name a topic that begins with '__'";
    if (*ret_reason)
        return -EINVAL;
    t = topics_get(topics, topics->name.data, topics->name.size);
    if (!t && topics->count >= TOPIC_COUNT_MAX) {
        *ret_reason = "its fields name a topic beyond the 10000 that one output may write to";
        return -EINVAL;
    }
    if (!t)
        return -ENOMEM;
    *ret = t;
    return 0;
}

rd_kafka_topic_t *topic_handle(struct topic *topic, rd_kafka_t *rk)
{
    rd_kafka_topic_conf_t *conf; /* librdkafka's once it was handed over, whatever comes of that */

    if (topic->handle)
        return topic->handle;
    conf = rd_kafka_default_topic_conf_dup(rk);
    if (!conf)
        return NULL;
    rd_kafka_topic_conf_set_opaque(conf, topic);
    if (topic->sticky)
        sticky_use(conf);
    topic->handle = rd_kafka_topic_new(rk, topic->name, conf);
    return topic->handle;
}
