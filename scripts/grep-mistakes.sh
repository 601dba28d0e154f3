#!/usr/bin/env bash
# One grep for each mistake that was made once, or that C invites to: says what to write instead. Part of `make lint`.
set -euo pipefail
cd "$(dirname "$0")/.."

found=0

# mistake WHAT-TO-WRITE REGEX WHERE...: WHERE are folders and files; "!PATH" is where it is allowed. Comments do not count.
mistake() {
    local instead=$1 regex=$2 path where=() allowed=() lines
    shift 2
    for path in "$@"; do
        case $path in
        !*) allowed+=(-e "^${path#!}") ;;
        *) where+=("$path") ;;
        esac
    done
    lines=$(grep -rnIE --include='*.[ch]' --include='*.py' --include='*.sh' --include='*.md' --include=Makefile \
        --exclude-dir=__pycache__ -e "$regex" "${where[@]}" | grep -vE '^[^:]*:[0-9]+:[[:space:]]*(\*|/\*|//)' || true)
    [ ${#allowed[@]} = 0 ] || lines=$(grep -v "${allowed[@]}" <<<"$lines" || true)
    [ -n "$lines" ] || return 0
    printf '%s\n  -> %s\n' "$lines" "$instead"
    found=$((found + $(grep -c . <<<"$lines")))
}

own=(lib restore-reconciler.c)
lower=(lib/base lib/codec lib/net lib/backup lib/pg lib/archive lib/restore lib/state)
scripts=(scripts/*)

mistake 'use str_append(), arena_strdup() or snprintf() with the size: a copy has a bound' \
    '\b(strcpy|strcat|strncpy|strncat|stpcpy|v?sprintf|gets)[[:space:]]*\(' "${own[@]}"
mistake 'use text_to_u64(), or strtol() where something may follow: these take trailing text and overflow for a number' \
    '\b(ato[ilf]|atoll|sscanf)[[:space:]]*\(' "${own[@]}"
mistake 'use strtok_r() or strcspn(): strtok keeps its place in a static variable' '\bstrtok[[:space:]]*\(' "${own[@]}"
mistake 'return the text, or log it: standard output belongs to lib/cli' \
    '\b(printf|puts|putchar|vprintf)[[:space:]]*\(|\bstdout\b' lib '!lib/cli/'
mistake 'use mem_alloc(), mem_strdup() or an arena: they do not return NULL' \
    '\b(malloc|calloc|realloc|reallocarray|strdup|strndup|v?asprintf|aligned_alloc)[[:space:]]*\(' "${own[@]}" '!lib/base/'
mistake 'do it now, or file an issue and leave the words out' '\b(TODO|FIXME|XXX|HACK)\b' \
    "${own[@]}" scripts tests docs README.md Makefile '!scripts/grep-mistakes.sh'
mistake 'use sql_identifier() and sql_literal(): they need no connection' '\bPQ(escape|quote)[A-Za-z]*[[:space:]]*\(' "${own[@]}"
mistake 'take it as an option: the environment is read in few places, which the documentation lists' '\b(secure_)?getenv[[:space:]]*\(' \
    "${own[@]}" '!lib/cli/flags.c' '!lib/cli/termination.c' '!lib/net/trust.c' '!lib/pg/connect.c' '!lib/backup/credentials.c' '!lib/backup/s3.c' \
    '!lib/backup/s3_endpoint.c' '!lib/kube/kubeconfig.c' '!lib/state/cluster.c'
mistake 'log at debug, and let lib/reconcile say it: library code does not know whether it matters' \
    '\blog_info[[:space:]]*\(' "${lower[@]}" '!lib/base/log.h'
mistake 'use struct clock: tests replace it, and it does not jump' \
    '\b(time|gettimeofday|sleep|usleep|nanosleep)[[:space:]]*\(' lib '!lib/base/clock'
mistake 'use random_bytes()' '\b(rand|srand|random|srandom|drand48)[[:space:]]*\(' "${own[@]}"
mistake 'return an error code: only main ends the process' '\b(exit|_exit|quick_exit)[[:space:]]*\(' "${own[@]}" '!lib/base/' \
    '!lib/restore/worker.c'
mistake 'the program has no shell and starts no other program' '\b(system|popen|execv[pe]*|execl[pe]*|fork|posix_spawn)[[:space:]]*\(' \
    "${own[@]}"
mistake 'use error_set_errno(): it adds the text' '\bstrerror(_r)?[[:space:]]*\(' "${own[@]}" '!lib/base/error.c'
mistake 'write struct NAME: no typedef hides what a thing is' '^typedef (struct|enum|union)[^(]*$' "${own[@]}"
mistake 'no setjmp: cleanup guards would not run' '\b(sig)?(set|long)jmp[[:space:]]*\(' "${own[@]}"
mistake 'ask the package client of this machine: mirrors and proxies differ, and no registry is ours to name' \
    '(deb\.debian|snapshot\.debian|archive\.ubuntu|pypi|pythonhosted|npmjs|proxy\.golang|sum\.golang|crates|docker|ghcr|quay|gcr)\.(org|io|com|dev)\b' \
    "${scripts[@]}" Makefile .ci tests docs README.md '!scripts/grep-mistakes.sh' '!tests/tools/[a-z]*/go.'
mistake 'take the blanks at the end of the line away' '[[:blank:]]+$' "${own[@]}" scripts docs README.md tests

for script in scripts/* .ci/run tests/e2e/run; do
    head -n 1 "$script" | grep -q bash || continue
    grep -q '^set -euo pipefail' "$script" && continue
    printf '%s\n  -> %s\n' "$script" 'begin with set -euo pipefail: a command that fails must not be passed over'
    found=$((found + 1))
done

[ "$found" = 0 ] || { echo "grep-mistakes: $found lines to mend"; exit 1; }
echo "grep-mistakes: nothing found"
