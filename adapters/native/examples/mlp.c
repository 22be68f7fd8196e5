/* A candidate in one file: a two-layer perceptron with a residual.
 *
 *     cc -O2 -shared -fPIC -I ../include -o libmlp.so mlp.c -lm
 *     parity backends check ./libmlp.so --array x=x.npy
 *
 * x is float32[rows, 4]. Taps: hidden, activation, (root), each once a step; two steps a run.
 */
#include "parity_candidate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 4, HIDDEN = 8, STEPS = 2 };

struct parity_candidate {
    float up[HIDDEN][WIDTH], down[WIDTH][HIDDEN];
    char error[200];
};

/* Everything that a run passes on: the tap, where it stands, and what the tap answered. */
typedef struct {
    parity_on_tap on_tap;
    void *ctx;
    int64_t rows, step;
    int stopped;
} run_t;

uint32_t parity_abi_version(void) { return PARITY_ABI_VERSION; }

int32_t parity_open(const char *config, parity_candidate **candidate) {
    (void)config;
    *candidate = calloc(1, sizeof **candidate);
    if (*candidate == NULL) return PARITY_ERROR;
    for (int i = 0; i < HIDDEN * WIDTH; i++) {
        (*candidate)->up[i / WIDTH][i % WIDTH] = sinf(1.0f + (float)i);
        (*candidate)->down[i / HIDDEN][i % HIDDEN] = cosf(2.0f + (float)i);
    }
    return PARITY_OK;
}

const char *parity_describe(parity_candidate *candidate) {
    (void)candidate;
    return "{\"name\": \"mlp-c\", \"facts\": {\"framework\": \"c\", \"precision\": \"float32\"},"
           " \"capabilities\": {\"inject\": true},"
           " \"taps\": [\"hidden\", \"activation\", \"(root)\"], \"inputs\": [\"x\"]}";
}

const char *parity_last_error(parity_candidate *candidate) { return candidate->error; }

void parity_close(parity_candidate *candidate) { free(candidate); }

/* Name a matrix of the run, and take over what the tap puts in its place. */
static void record(run_t *run, const char *name, float *data, int64_t width) {
    const int64_t shape[] = {run->rows, width};
    parity_tap tap = {0};
    parity_tensor replacement;
    if (run->on_tap == NULL || run->stopped) return;
    tap.role = PARITY_ROLE_OUTPUT;
    tap.step = run->step;
    tap.tensor = (parity_tensor){name, PARITY_FLOAT32, 2, shape, NULL, data};
    switch (run->on_tap(run->ctx, &tap, &replacement)) {
    case PARITY_STOP: run->stopped = 1; break;
    case PARITY_REPLACE: memcpy(data, replacement.data, (size_t)(run->rows * width) * 4); break;
    default: break;
    }
}

static void linear(const float *x, const float *weight, float *y, int64_t rows, int in, int out) {
    for (int64_t row = 0; row < rows; row++)
        for (int o = 0; o < out; o++) {
            float sum = 0.0f;
            for (int i = 0; i < in; i++) sum += x[row * in + i] * weight[o * in + i];
            y[row * out + o] = sum;
        }
}

static const parity_tensor *find(const parity_tensor *inputs, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(inputs[i].name, name) == 0) return &inputs[i];
    return NULL;
}

int32_t parity_run(parity_candidate *candidate, const parity_tensor *inputs, size_t n,
                   parity_on_tap on_tap, void *ctx) {
    const parity_tensor *x = find(inputs, n, "arrays.x");
    if (x == NULL || x->dtype != PARITY_FLOAT32 || x->rank != 2 || x->shape[1] != WIDTH) {
        snprintf(candidate->error, sizeof candidate->error,
                 "the case needs an array x, float32[rows, %d]", WIDTH);
        return PARITY_BAD_INPUT;
    }
    run_t run = {on_tap, ctx, x->shape[0], 0, 0};
    size_t bytes = (size_t)run.rows * sizeof(float);
    float *state = malloc(bytes * WIDTH), *hidden = malloc(bytes * HIDDEN),
          *update = malloc(bytes * WIDTH);
    memcpy(state, x->data, bytes * WIDTH);
    for (run.step = 0; run.step < STEPS && !run.stopped; run.step++) {
        linear(state, &candidate->up[0][0], hidden, run.rows, WIDTH, HIDDEN);
        record(&run, "hidden", hidden, HIDDEN);
        for (int64_t i = 0; i < run.rows * HIDDEN; i++) hidden[i] = tanhf(hidden[i]);
        record(&run, "activation", hidden, HIDDEN);
        linear(hidden, &candidate->down[0][0], update, run.rows, HIDDEN, WIDTH);
        for (int64_t i = 0; i < run.rows * WIDTH; i++) state[i] += update[i];
        record(&run, "(root)", state, WIDTH);
    }
    free(state);
    free(hidden);
    free(update);
    return run.stopped ? PARITY_STOPPED : PARITY_OK;
}
