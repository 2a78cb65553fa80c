#include "cache/cache.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/log.h"

enum {
    LIST_SECONDS = 10 * 60,
    LOCK_MAX_SECONDS = 60,
    LEASE_SECONDS = 60,
    SILENCE_MS = 500,
    NAME_MAX_LENGTH = 64,
    NUMBER_LENGTH = 24
};

struct cache {
    struct redis *redis;
    void (*on_stale)(void *data); /* of who is online; NULL: nobody watches */
    void *stale_data;
    int64_t lease_s;   /* of a node's set */
    bool has_reported; /* that something is refused: once is enough */
};

/* --- commands --- */

enum { KEY_MAX_LENGTH = sizeof "stonechat:online:" + NAME_MAX_LENGTH };

struct key {
    char text[KEY_MAX_LENGTH];
    struct slice slice; /* of the text */
};

static void make_key(struct key *key, const char *kind, struct slice name)
{
    assert(name.length <= NAME_MAX_LENGTH);
    int length = snprintf(key->text, sizeof key->text, "stonechat:%s:%.*s", kind, (int)name.length, name.data);
    key->slice = (struct slice){key->text, (size_t)length};
}

struct id_text {
    char text[UUID_TEXT_LENGTH];
};

static struct slice format_id(struct uuid id, struct id_text *out)
{
    uuid_format(id, out->text);
    return (struct slice){out->text, sizeof out->text};
}

static struct slice format_number(int64_t number, char out[NUMBER_LENGTH])
{
    return (struct slice){out, (size_t)snprintf(out, NUMBER_LENGTH, "%lld", (long long)number)};
}

static void on_done(void *data, const struct redisReply *reply)
{
    struct cache *cache = data;
    if (reply != NULL && redis_error(reply) != NULL && !cache->has_reported) {
        cache->has_reported = true;
        log_write(LOG_ERROR, "Redis refuses what is to be cached; the database is asked instead",
                  LOG_STR("reason", redis_error(reply)));
    }
}

/* What is lost is no harm. */
static void tell(struct cache *cache, const struct slice *arguments, int count)
{
    if (cache != NULL) {
        redis_command(cache->redis, arguments, count, on_done, cache);
    }
}

/* Who waits for an answer. */
struct question {
    union {
        cache_on_chats *chats;
        cache_on_lock *lock;
        cache_on_owed *owed;
    } answer;
    void *data;
    void (*on_reply)(const struct question *question, const redisReply *reply);
    struct log_context context;
};

static struct question *question_create(void *data)
{
    struct question *question = malloc(sizeof *question);
    if (question != NULL) {
        question->data = data;
        log_get_context(&question->context);
    }
    return question;
}

static void give_answer(void *data, const struct redisReply *reply)
{
    struct question *question = data;
    const struct log_context *before = log_enter(&question->context);
    question->on_reply(question, reply);
    log_leave(before);
    free(question);
}

static bool ask(struct cache *cache, const struct slice *arguments, int count,
                void (*on_reply)(const struct question *question, const redisReply *reply), struct question *question)
{
    if (question != NULL) {
        question->on_reply = on_reply;
    }
    bool is_asked = question != NULL && redis_command(cache->redis, arguments, count, give_answer, question);
    if (!is_asked) {
        free(question);
    }
    return is_asked;
}

/* --- lists of chats --- */

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

/* Fields and values by turns. */
static const redisReply *find_field(const redisReply *fields, struct slice name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *field = fields->element[i], *value = fields->element[i + 1];
        if (is_text(field) && is_text(value) && slice_equals((struct slice){field->str, field->len}, name)) {
            return value;
        }
    }
    return NULL;
}

static void on_chats(const struct question *question, const redisReply *reply)
{
    bool is_hash = reply != NULL && reply->type == REDIS_REPLY_ARRAY;
    const redisReply *list = is_hash ? find_field(reply, SLICE("list")) : NULL;
    if (list != NULL) {
        question->answer.chats(question->data, &(struct cache_chats){.list = {list->str, list->len}, .fields = reply});
    } else {
        question->answer.chats(question->data, NULL);
    }
}

bool cache_find_chats(struct cache *cache, struct uuid user_id, cache_on_chats *on_found, void *data)
{
    if (cache == NULL) {
        return false;
    }
    struct key key;
    struct id_text id;
    struct question *question = question_create(data);
    if (question != NULL) {
        question->answer.chats = on_found;
    }
    make_key(&key, "chats", format_id(user_id, &id));
    return ask(cache, (struct slice[]){SLICE("HGETALL"), key.slice}, 2, on_chats, question);
}

int64_t cache_chats_last_seen(const struct cache_chats *found, struct uuid contact_id)
{
    struct id_text id;
    const redisReply *value = find_field(found->fields, format_id(contact_id, &id));
    return value != NULL ? strtoll(value->str, NULL, 10) : 0;
}

/* A field of a hash that lives so many seconds from its first one. One that holds a number only grows. */
static const char SET_FIELD[] = "local old = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or nil) "
                                "if old and old >= (tonumber(ARGV[2]) or old + 1) then return 0 end "
                                "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) "
                                "if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end "
                                "return 1";

static void set_field(struct cache *cache, struct uuid user_id, struct slice field, struct slice value)
{
    struct key key;
    struct id_text id;
    char seconds[NUMBER_LENGTH];
    make_key(&key, "chats", format_id(user_id, &id));
    tell(cache,
         (struct slice[]){SLICE("EVAL"), slice_of(SET_FIELD), SLICE("1"), key.slice, field, value,
                          format_number(LIST_SECONDS, seconds)},
         7);
}

void cache_put_chats(struct cache *cache, struct uuid user_id, struct slice list)
{
    set_field(cache, user_id, SLICE("list"), list);
}

void cache_note_last_seen(struct cache *cache, struct uuid user_id, struct uuid contact_id, int64_t last_seen_us)
{
    struct id_text id;
    char time[NUMBER_LENGTH];
    set_field(cache, user_id, format_id(contact_id, &id), format_number(last_seen_us, time));
}

/* --- who is online --- */

static void expire_online(struct cache *cache, struct slice key, redis_on_reply *on_reply)
{
    char seconds[NUMBER_LENGTH];
    redis_command(cache->redis, (struct slice[]){SLICE("EXPIRE"), key, format_number(cache->lease_s, seconds)}, 3,
                  on_reply, cache);
}

void cache_set_online(struct cache *cache, struct uuid node_id, struct uuid user_id, bool is_online)
{
    if (cache == NULL) {
        return;
    }
    struct key key;
    struct id_text node, user;
    make_key(&key, "online", format_id(node_id, &node));
    tell(cache, (struct slice[]){is_online ? SLICE("SADD") : SLICE("SREM"), key.slice, format_id(user_id, &user)}, 3);
    if (is_online) {
        expire_online(cache, key.slice, on_done);
    }
}

static void report_stale(struct cache *cache)
{
    if (cache->on_stale != NULL) {
        cache->on_stale(cache->stale_data);
    }
}

/* Where nobody is online there is no set either. */
static void on_renewed(void *data, const struct redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0) {
        report_stale(data);
    }
}

void cache_renew_online(struct cache *cache, struct uuid node_id, int64_t lease_s)
{
    if (cache != NULL) {
        struct key key;
        struct id_text node;
        cache->lease_s = lease_s;
        make_key(&key, "online", format_id(node_id, &node));
        expire_online(cache, key.slice, on_renewed);
    }
}

void cache_drop_online(struct cache *cache, struct uuid node_id)
{
    struct key key;
    struct id_text node;
    make_key(&key, "online", format_id(node_id, &node));
    tell(cache, (struct slice[]){SLICE("DEL"), key.slice}, 2);
}

void cache_watch_online(struct cache *cache, void (*on_stale)(void *data), void *data)
{
    if (cache != NULL) {
        cache->on_stale = on_stale;
        cache->stale_data = data;
    }
}

/* --- rate limits --- */

/* One token more is owed, but not more than a whole bucket; the answer is how much that is by now. */
static const char TAKE_TOKEN[] = "local time = redis.call('TIME') "
                                 "local now = time[1] * 1000000 + time[2] "
                                 "local full = tonumber(redis.call('GET', KEYS[1]) or 0) or 0 "
                                 "if full < now then full = now end "
                                 "full = math.min(full + ARGV[1], now + ARGV[2]) "
                                 "redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', "
                                 "math.ceil((full - now) / 1000)) "
                                 "return full - now";

static void on_owed(const struct question *question, const redisReply *reply)
{
    bool is_number = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    question->answer.owed(question->data, is_number ? reply->integer : -1);
}

bool cache_take_token(struct cache *cache, const struct cache_token *token, cache_on_owed *on_answer, void *data)
{
    if (cache == NULL || token->bucket.length > NAME_MAX_LENGTH) {
        return false;
    }
    struct key key;
    char token_us[NUMBER_LENGTH], period_us[NUMBER_LENGTH];
    struct question *question = question_create(data);
    if (question != NULL) {
        question->answer.owed = on_answer;
    }
    make_key(&key, "limit", token->bucket);
    return ask(cache,
               (struct slice[]){SLICE("EVAL"), slice_of(TAKE_TOKEN), SLICE("1"), key.slice,
                                format_number(token->token_us, token_us), format_number(token->period_us, period_us)},
               6, on_owed, question);
}

/* --- names that are locked out --- */

static void on_lock(const struct question *question, const redisReply *reply)
{
    question->answer.lock(question->data, reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1);
}

bool cache_find_lock(struct cache *cache, struct slice name, cache_on_lock *on_found, void *data)
{
    if (cache == NULL || name.length > NAME_MAX_LENGTH) {
        return false;
    }
    struct key key;
    struct question *question = question_create(data);
    if (question != NULL) {
        question->answer.lock = on_found;
    }
    make_key(&key, "lock", name);
    return ask(cache, (struct slice[]){SLICE("EXISTS"), key.slice}, 2, on_lock, question);
}

void cache_put_lock(struct cache *cache, struct slice name, int64_t duration_s)
{
    struct key key;
    char seconds[NUMBER_LENGTH];
    int64_t lives_s = duration_s < LOCK_MAX_SECONDS ? duration_s : LOCK_MAX_SECONDS;
    if (lives_s > 0 && name.length <= NAME_MAX_LENGTH) {
        make_key(&key, "lock", name);
        tell(cache, (struct slice[]){SLICE("SET"), key.slice, SLICE(""), SLICE("EX"), format_number(lives_s, seconds)},
             5);
    }
}

/* --- life --- */

bool cache_is_there(const struct cache *cache)
{
    return cache != NULL && redis_is_connected(cache->redis);
}

static void on_connected(void *data)
{
    report_stale(data);
}

static void on_lost(void *data)
{
    (void)data; /* who waits has been told */
}

static const struct redis_callbacks CALLBACKS = {on_connected, on_lost, NULL};

struct cache *cache_create(struct loop *loop, const struct redis_options *options)
{
    struct cache *cache = calloc(1, sizeof *cache);
    struct redis_options own = *options;
    own.use = "cache";
    own.silence_ms = SILENCE_MS;
    if (cache != NULL) {
        cache->lease_s = LEASE_SECONDS;
    }
    if (cache == NULL || (cache->redis = redis_create(loop, &own, &CALLBACKS, cache)) == NULL) {
        free(cache);
        return NULL;
    }
    return cache;
}

void cache_destroy(struct cache *cache)
{
    if (cache != NULL) {
        redis_destroy(cache->redis);
        free(cache);
    }
}
