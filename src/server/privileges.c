#include "server/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "util/log.h"

bool server_drop_privileges(const char *user)
{
    if (geteuid() != 0) {
        return true;
    }
    errno = 0;
    const struct passwd *account = getpwnam(user);
    if (account == NULL || account->pw_uid == 0) {
        log_write(LOG_ERROR, "RUN_AS must name a user of this machine other than root", LOG_STR("user", user));
        return false;
    }
    int death_signal = 0; /* of the parent: the kernel forgets it with the user, and whoever started us relies on it */
    prctl(PR_GET_PDEATHSIG, &death_signal);
    /* glibc changes all threads: setxid(7). Nothing may be left to come back by. */
    if (initgroups(user, account->pw_gid) != 0 || setresgid(account->pw_gid, account->pw_gid, account->pw_gid) != 0 ||
        setresuid(account->pw_uid, account->pw_uid, account->pw_uid) != 0 || setuid(0) == 0) {
        log_write(LOG_ERROR, "root's rights cannot be given up", LOG_STR("user", user),
                  LOG_STR("reason", strerror(errno)));
        return false;
    }
    prctl(PR_SET_PDEATHSIG, death_signal);
#ifdef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 1); /* its search for leaks looks in by ptrace */
#endif
    return true;
}
