#include "http/client_address.h"

/* X-Forwarded-For is a list to which each proxy adds, at its end, who spoke to it. So it is read from its end, and only
 * as far as those who wrote it are trusted: whatever stands before that, anybody may have sent. */

/* Takes what stands behind the last comma off the end of `list`. */
static struct slice take_last(struct slice *list)
{
    const char *comma = memrchr(list->data, ',', list->length);
    size_t start = comma != NULL ? (size_t)(comma - list->data) + 1 : 0;
    struct slice member = {list->data + start, list->length - start};
    list->length = comma != NULL ? start - 1 : 0;
    return slice_trim(member);
}

bool client_address_walk(const struct ip_networks *trusted, struct slice forwarded_for, struct ip_address *address)
{
    while (forwarded_for.length > 0) {
        struct ip_address before;
        if (!ip_networks_hold(trusted, address) || !ip_address_parse_with_port(take_last(&forwarded_for), &before)) {
            return false;
        }
        *address = before;
    }
    return true;
}
