/* A candidate that names one good tensor, `first`, and then does what its configuration says. */
#include "parity_candidate.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct parity_candidate {
    char what[64];
};

static const int64_t SHAPE[] = {2, 3};
static const float DATA[] = {1, 2, 3, 4, 5, 6};

#ifndef VERSION
#define VERSION PARITY_ABI_VERSION
#endif

uint32_t parity_abi_version(void) { return VERSION; }

int32_t parity_open(const char *config, parity_candidate **candidate) {
    const char *key = strstr(config, "\"do\": \"");
    *candidate = calloc(1, sizeof **candidate);
    if (key != NULL) strncpy((*candidate)->what, key + 7, strcspn(key + 7, "\""));
    return strcmp((*candidate)->what, "not_open") == 0 ? PARITY_ERROR : PARITY_OK;
}

const char *parity_describe(parity_candidate *candidate) {
    if (strcmp(candidate->what, "no_json") == 0) return "certainly!";
    if (strcmp(candidate->what, "says_list") == 0)
        return "{\"name\": \"bad\", \"facts\": {\"framework\": \"c\"}, \"capabilities\": [1]}";
    if (strcmp(candidate->what, "says_number") == 0)
        return "{\"name\": 5, \"facts\": {\"framework\": \"c\"}}";
    if (strcmp(candidate->what, "says_nothing") == 0)
        return "{\"name\": \"bad\", \"facts\": {\"framework\": \"\"}}";
    if (strcmp(candidate->what, "odd_facts") == 0)
        return "{\"name\": \"bad\", \"facts\": {\"framework\": \"c\", \"many\":"
               " 100000000000000000000, \"more\": {\"a\": 1}, \"year\": 2024}}";
    return "{\"name\": \"bad\", \"facts\": {\"framework\": \"c\"}}";
}

const char *parity_last_error(parity_candidate *candidate) {
    return candidate->what[0] == 'p' ? "index out of bounds" : "the weights are gone";
}

void parity_close(parity_candidate *candidate) {
    const char *path = getenv("MISBEHAVING_CLOSED");
    if (path != NULL) close(open(path, O_CREAT | O_WRONLY, 0600));
    if (strcmp(candidate->what, "crash_in_close") == 0) abort();
    free(candidate);
}

static parity_on_tap tap_of_thread;
static void *from_thread(void *ctx) {
    parity_tap tap = {0};
    tap.tensor = (parity_tensor){"from_thread", PARITY_FLOAT32, 2, SHAPE, NULL, DATA};
    tap_of_thread(ctx, &tap, NULL);
    return NULL;
}

/* Outlives the run, and calls its tap when that is over. */
static void *too_late(void *ctx) {
    usleep(300000);
    return from_thread(ctx);
}

int32_t parity_run(parity_candidate *candidate, const parity_tensor *inputs, size_t n,
                   parity_on_tap on_tap, void *ctx) {
    const int64_t negative[] = {-2, 3}, huge[] = {1LL << 40, 1LL << 40}, far[] = {1LL << 50, 1};
    const int64_t empty[] = {1LL << 62, 0}, row[] = {1, 3}, one_step[] = {1LL << 62, 1};
    const int64_t large[] = {6 << 20};
    const unsigned char truths[] = {0, 1, 255, 0, 1, 1};
    const char *what = candidate->what;
    parity_tap tap = {0};
    parity_tensor *t = &tap.tensor;
    pthread_t thread;
    (void)inputs, (void)n;
    tap.role = PARITY_ROLE_OUTPUT;
    tap.step = -1;
    *t = (parity_tensor){"first", PARITY_FLOAT32, 2, SHAPE, NULL, DATA};
    on_tap(ctx, &tap, NULL);
    t->name = "second";
    if (strcmp(what, "segfault") == 0) *(volatile int *)8 = 1;
    if (strcmp(what, "abort") == 0) abort();
    if (strcmp(what, "exit") == 0) _exit(3);
    if (strcmp(what, "loop") == 0)
        for (volatile int i = 0;; i++) {}
    if (strcmp(what, "allocate") == 0)
        for (;;) {
            char *block = malloc(8 << 20);
            if (block == NULL) abort();
            memset(block, 1, 8 << 20);
        }
    if (strcmp(what, "error") == 0) return PARITY_ERROR;
    if (strcmp(what, "panic") == 0) return PARITY_PANIC;
    if (strcmp(what, "status") == 0) return 77;
    if (strcmp(what, "null_tap") == 0) return on_tap(ctx, NULL, NULL), PARITY_OK;
    if (strcmp(what, "negative") == 0) t->shape = negative;
    if (strcmp(what, "huge") == 0) t->shape = huge;
    if (strcmp(what, "far") == 0) t->strides = far;
    if (strcmp(what, "empty") == 0) t->shape = empty;
    if (strcmp(what, "one_step") == 0) t->shape = row, t->strides = one_step;
    if (strcmp(what, "truths") == 0) t->dtype = PARITY_BOOL, t->data = truths;
    if (strcmp(what, "interrupt") == 0) raise(SIGINT);
    if (strcmp(what, "close") == 0)
        for (int file = 3; file < 256; file++) close(file);
    if (strcmp(what, "fork") == 0) {
        int child = fork();
        if (child == 0) t->name = "forked";
        if (child > 0) waitpid(child, NULL, 0);
    }
    if (strcmp(what, "rank") == 0) t->rank = 4000000000u;
    if (strcmp(what, "null_shape") == 0) t->shape = NULL;
    if (strcmp(what, "null_data") == 0) t->data = NULL;
    if (strcmp(what, "dtype") == 0) t->dtype = 99;
    if (strcmp(what, "role") == 0) tap.role = 99;
    if (strcmp(what, "kind") == 0) tap.kind = 99;
    if (strcmp(what, "step") == 0) tap.step = -7;
    if (strcmp(what, "null_name") == 0) t->name = NULL;
    if (strcmp(what, "not_utf8") == 0) t->name = "\xff\xfe";
    if (strcmp(what, "dangling_name") == 0) t->name = (const char *)16;
    if (strcmp(what, "dangling_data") == 0) t->data = (const void *)16;
    if (strcmp(what, "dangling_large") == 0)
        t->rank = 1, t->shape = large, t->data = (const void *)16;
    if (strcmp(what, "thread") == 0 || strncmp(what, "late", 4) == 0) {
        tap_of_thread = on_tap;
        int late = what[0] == 'l';
        pthread_create(&thread, NULL, late ? too_late : from_thread, ctx);
        if (!late) pthread_join(thread, NULL);
        return strcmp(what, "late_error") == 0 ? PARITY_ERROR : PARITY_OK;
    }
    on_tap(ctx, &tap, NULL);
    return PARITY_OK;
}
