/* parity_candidate.h - the C ABI of a candidate, version 1.
 *
 * A candidate is a port of a neural network in anything that can export C functions. It is built as
 * a shared library that exports the six functions at the end of this file. parity loads it (in a
 * process of its own, unless it is told otherwise), runs cases through it, and records the tensors
 * that it names on the way.
 *
 * The order of calls, all from one thread:
 *
 *     parity_abi_version()                        once
 *     parity_open(config, &candidate)             once for each configuration
 *     parity_describe(candidate)                  any number of times
 *     parity_run(candidate, inputs, n, tap, ctx)  any number of times, one after the other
 *     parity_last_error(candidate)                after a call that failed
 *     parity_close(candidate)                     once
 *
 * Rules. Nothing unwinds across this boundary: catch exceptions and panics, and return a status.
 * Text is UTF-8 and ends with NUL. Memory belongs to the side that made it; what a function gets is
 * valid until it returns, unless its description says more. A run starts from a fresh state and
 * gives the same bits each time.
 *
 * Version 1 does not change: a later version has another number, and parity says so when a library
 * of a version that it does not know is opened.
 */
#ifndef PARITY_CANDIDATE_H
#define PARITY_CANDIDATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PARITY_ABI_VERSION 1u

#if defined(_WIN32)
#define PARITY_EXPORT __declspec(dllexport)
#else
#define PARITY_EXPORT __attribute__((visibility("default")))
#endif

/* Element types. In memory as in numpy and ml_dtypes, in the machine's byte order. */
enum {
    PARITY_BOOL = 1, /* one byte, 0 or 1 */
    PARITY_INT8 = 2,
    PARITY_INT16 = 3,
    PARITY_INT32 = 4,
    PARITY_INT64 = 5,
    PARITY_UINT8 = 6,
    PARITY_UINT16 = 7,
    PARITY_UINT32 = 8,
    PARITY_UINT64 = 9,
    PARITY_FLOAT16 = 10,
    PARITY_BFLOAT16 = 11,
    PARITY_FLOAT32 = 12,
    PARITY_FLOAT64 = 13,
    PARITY_COMPLEX64 = 14, /* real and imaginary part, float32 each */
    PARITY_COMPLEX128 = 15,
    PARITY_FLOAT8_E4M3FN = 16,
    PARITY_FLOAT8_E5M2 = 17
};

/* What a named tensor was: the roles of a capture. */
enum {
    PARITY_ROLE_TAP = 0,    /* any point of the computation */
    PARITY_ROLE_INPUT = 1,  /* went into what `name` names */
    PARITY_ROLE_OUTPUT = 2, /* came out of it: what a reference's module hook records */
    PARITY_ROLE_PARAM = 3,  /* a weight */
    PARITY_ROLE_STATE = 4   /* a cache or a history, carried from call to call */
};

/* What a call of the tap says. */
enum {
    PARITY_TENSOR = 0, /* here is a tensor */
    PARITY_ASK = 1,    /* is any call of this path and role wanted? The tensor has only a name */
    PARITY_NOISE = 2   /* here is a random draw, as it came out; `name` is its distribution */
};

/* Answers of the tap. */
enum {
    PARITY_CONTINUE = 0, /* go on; to PARITY_ASK: yes */
    PARITY_STOP = 1,     /* leave parity_run soon, with PARITY_STOPPED */
    PARITY_REPLACE = 2,  /* go on with the tensor in `replacement` instead of your own */
    PARITY_SKIP = 3      /* to PARITY_ASK only: no, during this run; do not bother to hand it over */
};

/* How a function ended. */
enum {
    PARITY_OK = 0,
    PARITY_ERROR = 1,     /* something failed; parity_last_error says what */
    PARITY_BAD_INPUT = 2, /* the configuration or the case cannot be used; likewise */
    PARITY_PANIC = 3,     /* an exception or panic was caught at the boundary; likewise */
    PARITY_STOPPED = 4    /* the tap said PARITY_STOP */
};

/* A tensor that somebody else owns. */
typedef struct parity_tensor {
    const char *name;       /* dotted path ("flow_lm.out_norm"); at most 4096 bytes */
    uint32_t dtype;         /* one of the element types above */
    uint32_t rank;          /* number of axes, at most 32; 0 for a scalar */
    const int64_t *shape;   /* rank extents, each 0 or more; may be NULL where rank is 0 */
    const int64_t *strides; /* rank steps in elements, or NULL where the elements lie in C order */
    const void *data;       /* the first element; may be NULL where there are no elements. What
                               parity lends is aligned for its type; a candidate's need not be */
} parity_tensor;

/* One call of the tap. */
typedef struct parity_tap {
    uint32_t kind;        /* PARITY_TENSOR, PARITY_ASK or PARITY_NOISE */
    uint32_t role;        /* one of the roles; ignored for noise */
    parity_tensor tensor; /* valid until the tap returns */
    const char *slot;     /* which of several tensors of that role ("1"), or NULL for the only one */
    const char *phase;    /* named stretch of the run ("generate"), or NULL where there are none */
    int64_t step;         /* autoregressive step, counted from 0 in each phase, or -1 */
    const char *source;   /* line that produced it ("mlp.rs:95"), or NULL */
} parity_tap;

/* Called by the candidate for every tensor it names, while parity_run is running.
 *
 * Calls are counted by parity: a point that runs five times in a phase gives five calls under the
 * same name. It may be called from any thread; calls wait for one another. In a process that the
 * candidate forked off, and after the run, it answers PARITY_STOP and records nothing.
 *
 * ctx           what parity_run was given
 * tap           the tensor and its circumstances
 * replacement   filled in when the answer is PARITY_REPLACE: same type and shape as the tensor,
 *               in C order, valid until the next call of the tap or the end of parity_run;
 *               may be NULL where the candidate cannot replace
 */
typedef int32_t (*parity_on_tap)(void *ctx, const parity_tap *tap, parity_tensor *replacement);

/* A loaded model. What is in it is the candidate's affair. */
typedef struct parity_candidate parity_candidate;

/* PARITY_ABI_VERSION, as the candidate was compiled with it. */
PARITY_EXPORT uint32_t parity_abi_version(void);

/* Load the model.
 *
 * config     a JSON object: the options of the backend that are not parity's own
 * candidate  receives the handle. On failure it receives either NULL or a handle that is good for
 *            parity_last_error and parity_close only
 * returns    PARITY_OK, PARITY_ERROR, PARITY_BAD_INPUT or PARITY_PANIC
 */
PARITY_EXPORT int32_t parity_open(const char *config, parity_candidate **candidate);

/* What the candidate is: a JSON object, valid until parity_close.
 *
 *     {"name": "my-port",
 *      "facts": {"framework": "candle", "framework_version": "0.9.2", "precision": "float32"},
 *      "capabilities": {"inject": true, "states": false, "streaming": true, "devices": ["cpu"]},
 *      "taps": ["encoder", "decoder.*"],
 *      "inputs": ["text", "voice_audio"]}
 *
 * `name` and `facts.framework` are required; the rest says what is possible, and defaults to no.
 */
PARITY_EXPORT const char *parity_describe(parity_candidate *candidate);

/* Run one case.
 *
 * inputs     n tensors, valid until parity_run returns:
 *              "case"         uint8[length], a JSON object in UTF-8 with the keys `name`, `inputs`
 *                             (JSON values), `seed`, and `noise`: null to draw, or a list of
 *                             {"distribution", "site", "phase", "parameters"}, one a draw
 *              "arrays.NAME"  an array of the case
 *              "noise.I"      the values of draw I, to be taken in order instead of drawing. A run
 *                             that needs more draws than there are fails with PARITY_BAD_INPUT
 * on_tap     takes what the run names, or NULL for a run that nobody watches
 * ctx        handed to on_tap
 * returns    any status
 *
 * Outputs are taps with PARITY_ROLE_OUTPUT, as everything else ("waveform").
 */
PARITY_EXPORT int32_t parity_run(parity_candidate *candidate, const parity_tensor *inputs, size_t n,
                                 parity_on_tap on_tap, void *ctx);

/* What went wrong last, valid until the next call; empty or NULL where nothing did. */
PARITY_EXPORT const char *parity_last_error(parity_candidate *candidate);

/* Let everything go. NULL is allowed. */
PARITY_EXPORT void parity_close(parity_candidate *candidate);

#ifdef __cplusplus
}
#endif

#endif /* PARITY_CANDIDATE_H */
