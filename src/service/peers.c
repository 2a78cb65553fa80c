#include "peers.h"

#include <pthread.h>
#include <stdlib.h>

#include "repository/node.h"
#include "work.h"

/* A table that is replaced as a whole. Each comparison of the node reads it; between two of them, a number that is not
 * in it is looked up once: whoever asks for it again hears that nobody has it, until the next comparison. So numbers
 * that were invented cost little. */

enum { NUMBERS = UINT16_MAX + 1 };

struct peer {
    int number;
    char url[CONFIG_URL_MAX_LENGTH + 1];
};

struct peers {
    struct uuid asker;
    pthread_mutex_t mutex; /* of all that follows */
    struct peer *list;     /* owned */
    int count;
    uint8_t unknown[NUMBERS / 8]; /* a bit a number that was looked up in vain */
};

static const struct actor NOBODY = {.username = ""};

struct peers *peers_create(struct uuid asker)
{
    struct peers *peers = calloc(1, sizeof *peers);
    if (peers != NULL) {
        peers->asker = asker;
        pthread_mutex_init(&peers->mutex, NULL);
    }
    return peers;
}

void peers_destroy(struct peers *peers)
{
    if (peers != NULL) {
        pthread_mutex_destroy(&peers->mutex);
        free(peers->list);
        free(peers);
    }
}

/* --- the table --- */

static void replace(struct peers *peers, const struct db_rows *rows)
{
    int rows_count = db_rows_count(rows), count = 0;
    struct peer *list = calloc((size_t)rows_count + 1, sizeof *list);
    if (list == NULL) {
        return;
    }
    for (int i = 0; i < rows_count; i++) {
        struct node_peer row = node_decode_peer(rows, i);
        if (row.address.length <= CONFIG_URL_MAX_LENGTH) {
            list[count].number = row.number;
            memcpy(list[count++].url, row.address.data, row.address.length);
        }
    }
    pthread_mutex_lock(&peers->mutex);
    free(peers->list);
    peers->list = list;
    peers->count = count;
    pthread_mutex_unlock(&peers->mutex);
}

enum knowledge { KNOWS_ADDRESS, KNOWS_NOTHING, KNOWS_THERE_IS_NONE };

static enum knowledge look(struct peers *peers, int number, char ret_url[CONFIG_URL_MAX_LENGTH + 1])
{
    pthread_mutex_lock(&peers->mutex);
    bool is_unknown = peers->unknown[number / 8] & 1 << number % 8;
    enum knowledge knowledge = is_unknown ? KNOWS_THERE_IS_NONE : KNOWS_NOTHING;
    for (int i = 0; i < peers->count; i++) {
        if (peers->list[i].number == number) {
            memcpy(ret_url, peers->list[i].url, sizeof peers->list[i].url);
            knowledge = KNOWS_ADDRESS;
        }
    }
    pthread_mutex_unlock(&peers->mutex);
    return knowledge;
}

static void mark_unknown(struct peers *peers, int number)
{
    pthread_mutex_lock(&peers->mutex);
    peers->unknown[number / 8] |= (uint8_t)(1 << number % 8);
    pthread_mutex_unlock(&peers->mutex);
}

/* --- the comparison's reading --- */

static struct outcome finish_read(struct work *work, const struct db_rows *rows)
{
    struct peers *peers = work->data;
    replace(peers, rows);
    pthread_mutex_lock(&peers->mutex);
    memset(peers->unknown, 0, sizeof peers->unknown);
    pthread_mutex_unlock(&peers->mutex);
    return (struct outcome){.status = STATUS_OK};
}

static void ignore(void *data, const struct outcome *outcome)
{
    (void)data, (void)outcome;
}

void peers_read(struct peers *peers, struct services *services)
{
    struct work *work = work_create(services, &NOBODY, ignore, peers);
    if (work != NULL) {
        node_peers(&work->call, peers->asker);
        work_read(work, finish_read);
    }
}

/* --- a request's search --- */

struct search {
    struct peers *peers;
    int number;
    node_on_peer *on_found;
    void *data;
};

static struct outcome finish_search(struct work *work, const struct db_rows *rows)
{
    replace(((struct search *)work->data)->peers, rows);
    return (struct outcome){.status = STATUS_OK};
}

static void on_searched(void *data, const struct outcome *outcome)
{
    struct search *search = data;
    char url[CONFIG_URL_MAX_LENGTH + 1];
    bool is_found = look(search->peers, search->number, url) == KNOWS_ADDRESS;
    if (!is_found && outcome->status == STATUS_OK) {
        mark_unknown(search->peers, search->number);
    }
    search->on_found(search->data, is_found ? url : NULL);
    free(search);
}

void peers_find(struct peers *peers, struct services *services, int number, node_on_peer *on_found, void *data)
{
    char url[CONFIG_URL_MAX_LENGTH + 1];
    enum knowledge knowledge = look(peers, number, url);
    struct search *search = knowledge == KNOWS_NOTHING ? malloc(sizeof *search) : NULL;
    if (search == NULL) {
        on_found(data, knowledge == KNOWS_ADDRESS ? url : NULL);
        return;
    }
    *search = (struct search){peers, number, on_found, data};
    struct work *work = work_create(services, &NOBODY, on_searched, search);
    if (work != NULL) {
        node_peers(&work->call, peers->asker);
        work_read(work, finish_search);
    }
}
