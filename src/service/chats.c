#include "service/chats.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/cache.h"
#include "render.h"
#include "util/digits.h"
#include "work.h"

/* The list of chats: from the database, or as it was made before and lies in the cache.
 *
 *   without a cache:  READING → told
 *   with one:         CHECKING → FINDING → told             (the list of this version is there)
 *                     CHECKING → FINDING → READING → told   (it is not, and is put there)
 *
 * CHECKING asks the database for the version, which whatever changes the list changes too. It is asked for before the
 * list is, so that a list is never taken for newer than it is. */

/* Room for an ordinary one, so that a list need not grow again and again. */
enum { CHAT_BYTES = 640, LIST_MAX_BYTES = 16 << 20, CACHED_MAX_BYTES = 1 << 20, VERSION_LENGTH = 64 };

struct listing {
    struct services *services;
    struct actor actor;
    int64_t limit;
    struct chat_cursor position;
    char version[VERSION_LENGTH]; /* empty: the list is not for the cache */
    on_outcome *on_done;
    void *data;
};

static void tell(struct listing *listing, const struct outcome *outcome)
{
    listing->on_done(listing->data, outcome);
    free(listing);
}

/* --- the list as it is cached: a line that names the user, the version and the next page, then a line a chat --- */

/* The chat's JSON, but for what changes without the version, the peer's status: in its place stands, between tabs, his
 * id and when he was last seen (µs since 1970; 0: never). JSON has no tabs and no line ends of its own. */
static void write_chat(struct buffer *out, const struct chat *chat)
{
    char id[UUID_TEXT_LENGTH];
    uuid_format(chat->peer.id, id);
    buffer_append_text(out, "{\"chatId\":");
    json_uuid(out, chat->id);
    buffer_append_text(out, ",\"user\":{\"id\":");
    json_uuid(out, chat->peer.id);
    buffer_append_text(out, ",\"username\":");
    json_string(out, chat->peer.username);
    buffer_append_char(out, '\t');
    buffer_append(out, id, sizeof id);
    json_integer(out, chat->peer.has_last_seen ? chat->peer.last_seen_us : 0);
    buffer_append_text(out, "\t},\"latestMessage\":");
    if (chat->has_latest) {
        render_message(out, &chat->latest);
    } else {
        buffer_append_text(out, "null");
    }
    buffer_append_text(out, ",\"unreadCount\":");
    json_integer(out, chat->unread);
    buffer_append_text(out, "}\n");
}

static void write_head(struct buffer *out, const struct listing *listing, struct slice next)
{
    char id[UUID_TEXT_LENGTH];
    uuid_format(listing->actor.id, id);
    buffer_append(out, id, sizeof id);
    buffer_append_char(out, '\t');
    buffer_append_text(out, listing->version);
    buffer_append_char(out, '\t');
    buffer_append_slice(out, next);
    buffer_append_char(out, '\n');
}

/* Takes what stands before `end`, and `end` itself. */
static bool take_until(struct slice *text, char end, struct slice *ret_taken)
{
    const char *found = text->data != NULL ? memchr(text->data, end, text->length) : NULL;
    if (found == NULL) {
        return false;
    }
    *ret_taken = (struct slice){text->data, (size_t)(found - text->data)};
    *text = (struct slice){found + 1, text->length - ret_taken->length - 1};
    return true;
}

/* The status of the peer, as it is now: `found` may know better than the list when he was last seen. */
static void render_status(struct buffer *out, struct services *services, struct slice status,
                          const struct cache_chats *found)
{
    struct uuid id;
    if (status.length < UUID_TEXT_LENGTH || !uuid_parse((struct slice){status.data, UUID_TEXT_LENGTH}, &id)) {
        return;
    }
    int64_t listed_us = 0;
    digits_read((struct slice){status.data + UUID_TEXT_LENGTH, status.length - UUID_TEXT_LENGTH}, DIGITS_MAX,
                &listed_us);
    int64_t noted_us = found != NULL ? cache_chats_last_seen(found, id) : 0;
    int64_t last_seen_us = noted_us > listed_us ? noted_us : listed_us;
    buffer_append_text(out, ",\"online\":");
    json_boolean(out, presence_is_online(services->presence, id));
    buffer_append_text(out, ",\"lastSeen\":");
    render_optional_time(out, last_seen_us != 0, last_seen_us);
}

/* The lines behind the head as the data of a reply. */
static void render_lines(struct buffer *out, struct services *services, struct slice lines,
                         const struct cache_chats *found)
{
    struct slice before, status, behind;
    const char *separator = "[";
    while (take_until(&lines, '\t', &before) && take_until(&lines, '\t', &status) &&
           take_until(&lines, '\n', &behind)) {
        buffer_append_text(out, separator);
        buffer_append_slice(out, before);
        render_status(out, services, status, found);
        buffer_append_slice(out, behind);
        separator = ",";
    }
    buffer_append_text(out, separator[0] == '[' ? "[]" : "]");
}

/* --- the seal: who can write to Redis could otherwise put words into anybody's mouth --- */

static void make_seal(const struct listing *listing, struct slice list, uint8_t out[TOKEN_MAC_BYTES])
{
    token_key_mac(listing->services->token_key, SLICE("stonechat chats"), list, out);
}

static void put(const struct listing *listing, struct slice list)
{
    uint8_t seal[TOKEN_MAC_BYTES];
    struct buffer sealed = buffer_init(CACHED_MAX_BYTES); /* a longer one is read each time */
    make_seal(listing, list, seal);
    buffer_append(&sealed, seal, sizeof seal);
    buffer_append_slice(&sealed, list);
    if (!sealed.failed) {
        cache_put_chats(listing->services->cache, listing->actor.id, buffer_slice(&sealed));
    }
    buffer_dispose(&sealed);
}

/* Finds the lines and the next page's cursor in a list that is ours, this user's, and of this version. */
static bool open_list(const struct listing *listing, struct slice sealed, struct slice *ret_next,
                      struct slice *ret_lines)
{
    uint8_t seal[TOKEN_MAC_BYTES];
    char id[UUID_TEXT_LENGTH];
    struct slice user, version;
    if (sealed.length < sizeof seal) {
        return false;
    }
    *ret_lines = (struct slice){sealed.data + sizeof seal, sealed.length - sizeof seal};
    make_seal(listing, *ret_lines, seal);
    uuid_format(listing->actor.id, id);
    return CRYPTO_memcmp(seal, sealed.data, sizeof seal) == 0 && take_until(ret_lines, '\t', &user) &&
           slice_equals(user, (struct slice){id, sizeof id}) && take_until(ret_lines, '\t', &version) &&
           slice_equals(version, slice_of(listing->version)) && take_until(ret_lines, '\n', ret_next);
}

/* --- READING --- */

/* One chat more than was asked for has been looked up: it tells whether there is a next page. */
static void write_list(struct buffer *out, const struct listing *listing, const struct db_rows *rows,
                       struct buffer *next)
{
    int count = db_rows_count(rows);
    int shown = count < listing->limit ? count : (int)listing->limit;
    if (count > shown) {
        struct chat last = chat_decode(rows, shown - 1, listing->actor.id);
        render_cursor(next, last.has_latest, last.latest.created_at_us, last.id);
    }
    buffer_reserve(out, (size_t)(shown + 1) * CHAT_BYTES);
    write_head(out, listing, buffer_slice(next));
    for (int i = 0; i < shown; i++) {
        struct chat chat = chat_decode(rows, i, listing->actor.id);
        write_chat(out, &chat);
    }
}

static struct outcome finish_reading(struct work *work, const struct db_rows *rows)
{
    const struct listing *listing = work->data;
    struct buffer list = buffer_init(LIST_MAX_BYTES), next = buffer_init(128);
    write_list(&list, listing, rows, &next);
    struct slice head, lines = buffer_slice(&list);
    if (!list.failed && take_until(&lines, '\n', &head)) {
        buffer_reserve(&work->json, list.length + list.length / 8);
        render_lines(&work->json, work->services, lines, NULL);
        render_next_cursor(&work->pagination, buffer_slice(&next));
        if (listing->version[0] != '\0') {
            put(listing, buffer_slice(&list));
        }
    } else {
        work->json.failed = true;
    }
    buffer_dispose(&list);
    buffer_dispose(&next);
    return work_success(work, STATUS_OK, "chats");
}

static void on_read(void *data, const struct outcome *outcome)
{
    tell(data, outcome);
}

static void read_list(struct listing *listing)
{
    struct work *work = work_create(listing->services, &listing->actor, on_read, listing);
    if (work != NULL) {
        chat_list(&work->call, listing->actor.id, listing->limit + 1, &listing->position);
        work_read(work, finish_reading);
    }
}

/* --- CHECKING and FINDING --- */

static void on_found(void *data, const struct cache_chats *found)
{
    struct listing *listing = data;
    struct slice next, lines;
    if (found == NULL || !open_list(listing, found->list, &next, &lines)) {
        read_list(listing);
        return;
    }
    struct buffer json = buffer_init(LIST_MAX_BYTES), pagination = buffer_init(256);
    buffer_reserve(&json, found->list.length + found->list.length / 8);
    render_lines(&json, listing->services, lines, found);
    render_next_cursor(&pagination, next);
    if (json.failed || pagination.failed) {
        tell(listing, &(struct outcome){.status = STATUS_UNAVAILABLE});
    } else {
        tell(listing, &(struct outcome){.status = STATUS_OK,
                                        .name = "chats",
                                        .json = buffer_slice(&json),
                                        .pagination = buffer_slice(&pagination)});
    }
    buffer_dispose(&json);
    buffer_dispose(&pagination);
}

static struct outcome finish_checking(struct work *work, const struct db_rows *rows)
{
    struct listing *listing = work->data;
    chat_list_decode_version(rows, listing->version, sizeof listing->version);
    return (struct outcome){.status = STATUS_OK};
}

static void on_checked(void *data, const struct outcome *outcome)
{
    struct listing *listing = data;
    if (outcome->status != STATUS_OK) {
        tell(listing, outcome);
    } else if (!cache_find_chats(listing->services->cache, listing->actor.id, on_found, listing)) {
        read_list(listing);
    }
}

static void check_version(struct listing *listing)
{
    struct work *work = work_create(listing->services, &listing->actor, on_checked, listing);
    if (work != NULL) {
        chat_list_version(&work->call, listing->actor.id);
        work_read(work, finish_checking);
    }
}

void chats_list(struct services *services, const struct actor *actor, int64_t limit, struct slice cursor,
                on_outcome *on_done, void *data)
{
    struct chat_cursor position = {.is_set = cursor.length > 0};
    if (position.is_set &&
        !render_parse_cursor(cursor, &position.has_time, &position.last_message_at_us, &position.chat_id)) {
        on_done(data, &(struct outcome){.status = STATUS_VALIDATION_ERROR});
        return;
    }
    struct listing *listing = malloc(sizeof *listing);
    if (listing == NULL) {
        on_done(data, &(struct outcome){.status = STATUS_UNAVAILABLE});
        return;
    }
    *listing = (struct listing){services, *actor, limit, position, "", on_done, data};
    if (limit == CHATS_DEFAULT_LIMIT && !position.is_set && cache_is_there(services->cache)) {
        check_version(listing);
    } else {
        read_list(listing);
    }
}
