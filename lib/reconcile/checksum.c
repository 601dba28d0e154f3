/*
 * The checksum of the whole object, computed beside the load by a thread that reads it from end to
 * end: the load reads ranges, and not all of them. When it is wrong the load is stopped; the swap
 * waits for its answer.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/reconcile/run.h"

static void *checksum_main(void *context)
{
    struct checksum_job *job = context;
    job->code = backup_verify_checksum(job->source, job->checksum, &job->cancel, &job->error);
    if (job->code && job->code != ERR_CANCELLED)
        cancel_request(&job->load_cancel);
    return NULL;
}

void checksum_start(struct run *run)
{
    struct checksum_job *job = &run->checksum_job;
    *job = (struct checksum_job){
        .source = run->source,
        .checksum = &run->checksum,
        .cancel = {.parent = run->options->cancel},
        .load_cancel = {.parent = run->options->cancel},
        .error = ERROR_INIT,
    };
    if (!run->checksum.is_known) {
        run->outcome.integrity = "unchecked";
        log_warn("the backup has no checksum: damage is noticed only where its structure shows it",
                 LOG_TEXT("backup", run->backup.url),
                 LOG_TEXT("hint", run->source->part_count
                                      ? "those of the files in a folder are not looked for"
                                      : "put NAME.sha256 beside it, or upload it with a checksum"));
        return;
    }
    int failed = pthread_create(&job->thread, NULL, checksum_main, job);
    job->is_running = !failed;
    if (failed) /* no thread to be had: the same work, before the load */
        checksum_main(job);
}

enum errc checksum_join(struct run *run, struct error *err)
{
    struct checksum_job *job = &run->checksum_job;
    if (job->is_running)
        pthread_join(job->thread, NULL);
    job->is_running = false;
    if (!job->code) {
        if (run->checksum.is_known)
            run->outcome.integrity = "verified";
        return RR_OK;
    }
    *err = job->error;
    return error_wrap(err, "checksum of the backup");
}

void checksum_stop(struct run *run)
{
    cancel_request(&run->checksum_job.cancel);
    if (run->checksum_job.is_running)
        pthread_join(run->checksum_job.thread, NULL);
    run->checksum_job.is_running = false;
}
