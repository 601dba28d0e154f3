/*
 * restore-reconciler - a timestamp changes, the PostgreSQL database goes back to that backup.
 *
 * Wiring only: signals to a flag, everything else in lib/cli.
 */
#include <signal.h>
#include <stddef.h>

#include "lib/base/cancel.h"
#include "lib/cli/cli.h"
#include "lib/net/http.h"

static struct cancel cancel;

static void on_signal(int number)
{
    (void)number;
    cancel_request(&cancel);
}

int main(int argc, char **argv)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore,
              NULL); /* a broken connection is an error code, not the end of the program */
    http_export_ca();
    return cli_main(argc, argv, &cancel);
}
