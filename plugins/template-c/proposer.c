/* A proposer in C, `twist`: takes frames of a loop's MD and turns the rest of the chain about the
 * CA-C bond (psi) of one residue. Copy it, rename it, put your idea in the place of `propose`.
 *
 *     cc -std=c99 -O2 -shared -fPIC -fvisibility=hidden -I include \
 *         plugins/template-c/proposer.c -lm -o libmarsfm_plugin_twist.so
 *
 * In a loop's settings:
 *
 *     [strategy]
 *     proposer = "plugin:twist"
 *     options = { max_degrees = 120.0 }
 *
 * plugins/template-rust is the same in Rust: both give the same proposals.
 */
#include <marsfm_plugin.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the last error: one text per thread ------------------------------------------------- */

#if defined(__GNUC__)
#define PER_THREAD __thread
#else
#define PER_THREAD
#endif
static PER_THREAD char error_text[256];

static int32_t fail(int32_t status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error_text, sizeof error_text, format, arguments);
    va_end(arguments);
    return status;
}

static size_t last_error(char *buffer, size_t capacity) {
    size_t need = strlen(error_text) + 1;
    if (buffer != NULL && capacity > 0) {
        size_t n = need < capacity ? need - 1 : capacity - 1;
        memcpy(buffer, error_text, n);
        buffer[n] = '\0';
    }
    return need;
}

/* ---- which bonds there are ---------------------------------------------------------------- */

/* A bond to turn about, and what turns: the residue's O and OXT and all atoms from `rest` on. */
struct bond {
    size_t ca, c, o[2], n_o, rest;
};

struct marsfm_plugin_proposer_t {
    size_t n_atoms;
    size_t end; /* of the chain: solvent stays where it is */
    double max_radians;
    size_t n_bonds;
    struct bond bonds[1]; /* room for more */
};

static const marsfm_plugin_atom_t *atom_at(const marsfm_plugin_topology_t *topology, size_t i) {
    const char *first = (const char *)topology->atoms;
    return (const marsfm_plugin_atom_t *)(const void *)(first + topology->atoms->struct_size * i);
}

static int same_residue(const marsfm_plugin_atom_t *a, const marsfm_plugin_atom_t *b) {
    return a->residue_number == b->residue_number && strcmp(a->insertion, b->insertion) == 0 &&
           strcmp(a->chain, b->chain) == 0;
}

/* The bond of the residue from `first` to `end`; false if it has none. */
static int bond_of(const marsfm_plugin_topology_t *topology, size_t first, size_t end,
                   struct bond *bond, int *has_n) {
    int has_ca = 0, has_c = 0;
    bond->n_o = 0;
    *has_n = 0;
    for (size_t i = first; i < end; i++) {
        const char *name = atom_at(topology, i)->name;
        if (strcmp(name, "N") == 0) *has_n = 1;
        if (strcmp(name, "CA") == 0) bond->ca = i, has_ca = 1;
        if (strcmp(name, "C") == 0) bond->c = i, has_c = 1;
        if ((strcmp(name, "O") == 0 || strcmp(name, "OXT") == 0) && bond->n_o < 2) {
            bond->o[bond->n_o++] = i;
        }
    }
    bond->rest = end;
    return *has_n && has_ca && has_c;
}

static int32_t open_it(const marsfm_plugin_topology_t *topology, const char *options,
                       marsfm_plugin_proposer_t **out) {
    double degrees = 120.0;
    /* Enough for one number; a plugin with more options takes a JSON parser. */
    const char *key = strstr(options, "\"max_degrees\"");
    if (key != NULL && sscanf(key, "\"max_degrees\" : %lf", &degrees) != 1) {
        return fail(MARSFM_PLUGIN_INVALID, "max_degrees: give a number");
    }
    if (!(degrees > 0.0 && degrees <= 180.0)) {
        return fail(MARSFM_PLUGIN_INVALID, "max_degrees is %g; give one above 0, up to 180",
                    degrees);
    }
    marsfm_plugin_proposer_t *made =
        calloc(1, sizeof *made + topology->n_atoms * sizeof made->bonds[0]);
    if (made == NULL) return fail(MARSFM_PLUGIN_IO, "out of memory");
    made->n_atoms = topology->n_atoms;
    made->max_radians = degrees * 3.14159265358979323846 / 180.0;
    for (size_t first = 0, end; first < topology->n_atoms; first = end) {
        int has_n;
        for (end = first + 1; end < topology->n_atoms; end++) {
            if (!same_residue(atom_at(topology, first), atom_at(topology, end))) break;
        }
        int turns = bond_of(topology, first, end, &made->bonds[made->n_bonds], &has_n);
        /* The chain ends where residues have no N: there solvent begins. A cap in front has none
         * either. */
        if (!has_n && made->end > 0) break;
        if (has_n) made->end = end;
        if (turns) made->n_bonds++;
    }
    if (made->n_bonds == 0) {
        free(made);
        return fail(MARSFM_PLUGIN_UNSUPPORTED, "there is no residue with N, CA and C to turn");
    }
    *out = made;
    return MARSFM_PLUGIN_OK;
}

/* ---- proposing ---------------------------------------------------------------------------- */

/* SplitMix64: Steele, Lea and Flood 2014. */
static uint64_t next(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Turns a point about the axis u through `origin` (Rodrigues). */
static void turn(double *x, const double *origin, const double *u, double cosine, double sine) {
    double v[3], across[3], along = 0.0;
    for (int k = 0; k < 3; k++) {
        v[k] = x[k] - origin[k];
        along += u[k] * v[k];
    }
    across[0] = u[1] * v[2] - u[2] * v[1];
    across[1] = u[2] * v[0] - u[0] * v[2];
    across[2] = u[0] * v[1] - u[1] * v[0];
    for (int k = 0; k < 3; k++) {
        x[k] = origin[k] + v[k] * cosine + across[k] * sine + u[k] * along * (1.0 - cosine);
    }
}

static int32_t propose(marsfm_plugin_proposer_t *proposer,
                       const marsfm_plugin_propose_request_t *request, double *xyz_nm,
                       int64_t *parents, size_t *n_proposed) {
    uint64_t state = request->rng_seed;
    size_t numbers = 3 * proposer->n_atoms;
    if (request->n_atoms != proposer->n_atoms) {
        return fail(MARSFM_PLUGIN_MISMATCH, "request of %lu atoms, topology has %lu",
                    (unsigned long)request->n_atoms, (unsigned long)proposer->n_atoms);
    }
    for (size_t k = 0; k < request->n_wanted; k++) {
        size_t parent = (size_t)(next(&state) % request->n_parents);
        const struct bond *bond = &proposer->bonds[next(&state) % proposer->n_bonds];
        double uniform = (double)(next(&state) >> 11) / 9007199254740992.0;
        double angle = (2.0 * uniform - 1.0) * proposer->max_radians;
        double *x = xyz_nm + k * numbers, origin[3], u[3], length = 0.0;
        memcpy(x, request->parents_nm + parent * numbers, numbers * sizeof *x);
        for (int c = 0; c < 3; c++) {
            origin[c] = x[3 * bond->ca + c];
            u[c] = x[3 * bond->c + c] - origin[c];
            length += u[c] * u[c];
        }
        length = sqrt(length);
        if (!(length > 0.0)) {
            return fail(MARSFM_PLUGIN_INVALID, "frame %lu: CA and C at one place",
                        (unsigned long)parent);
        }
        for (int c = 0; c < 3; c++) u[c] /= length;
        for (size_t o = 0; o < bond->n_o; o++) {
            turn(x + 3 * bond->o[o], origin, u, cos(angle), sin(angle));
        }
        for (size_t i = bond->rest; i < proposer->end; i++) {
            turn(x + 3 * i, origin, u, cos(angle), sin(angle));
        }
        parents[k] = (int64_t)parent;
    }
    *n_proposed = request->n_wanted;
    return MARSFM_PLUGIN_OK;
}

static void close_it(marsfm_plugin_proposer_t *proposer) { free(proposer); }

/* ---- the plugin --------------------------------------------------------------------------- */

static const marsfm_plugin_proposer_service_t service = {
    sizeof(marsfm_plugin_proposer_service_t), "twist", open_it, propose, close_it,
};

static const void *get_service(const char *id) {
    return strcmp(id, MARSFM_PLUGIN_PROPOSER_1) == 0 ? &service : NULL;
}

static const marsfm_plugin_entry_t entry = {
    sizeof(marsfm_plugin_entry_t),
    MARSFM_PLUGIN_ABI_MAJOR,
    MARSFM_PLUGIN_ABI_MINOR,
    "twist-c",
    "0.1.0",
    get_service,
    last_error,
};

const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host) {
    return host->abi_major == MARSFM_PLUGIN_ABI_MAJOR ? &entry : NULL;
}
