/* marsfm inside OpenMM: a Force that jumps every so many steps, for Python, C and C++ users.
 *
 *     1. load the library into OpenMM: Platform::loadPluginLibrary(".../libOpenMMMarsfm.so")
 *        (OpenMM_Platform_loadPluginLibrary, openmm.Platform.loadPluginLibrary). A library that was
 *        built for another minor version of OpenMM refuses to load.
 *     2. marsfm_openmm_attach(system, ...) before the Context is made.
 *     3. step.
 *
 * Every `interval_steps` steps the molecule jumps: samples of the surrogate are minimised in a
 * Context of their own (first with the heavy atoms restrained, then freely), judged against the
 * structure before the jump, and the first that passes replaces the positions, with new velocities.
 * If none passes, MD goes on as it was. Works on every platform; in implicit solvent or vacuum only.
 *
 * MD with jumps in between does not satisfy detailed balance. What follows each jump is a run of its
 * own: drop its head and read populations off a Markov model of the runs, never off all frames. */
#ifndef MARSFM_OPENMM_H
#define MARSFM_OPENMM_H

#include <marsfm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How to jump. Zero (but struct_size, interval_steps and temperature_kelvin) is the default. */
typedef struct marsfm_openmm_options_t {
    /** sizeof(marsfm_openmm_options_t). */
    size_t struct_size;
    /** Steps between two jumps, at least 1. */
    int64_t interval_steps;
    /** Temperature of the new velocities, K, above 0. */
    double temperature_kelvin;
    /** Samples to draw for a jump; 0 means 8. */
    int64_t draws;
    /** Random seed of samples and velocities; 0 is a seed like any other. */
    int64_t rng_seed;
    /** Surrogate, UTF-8; NULL for the default one. */
    const char *model_path;
} marsfm_openmm_options_t;

/** What has come of a force's jumps so far. */
typedef struct marsfm_openmm_report_t {
    /** sizeof(marsfm_openmm_report_t), set by the caller. */
    size_t struct_size;
    /** Times that a jump was due. */
    uint64_t due;
    /** Times that the molecule jumped. */
    uint64_t jumped;
    /** Samples that were refused before or after minimisation. */
    uint64_t refused;
    /** Step of the last jump; -1 without one. */
    int64_t last_step;
} marsfm_openmm_report_t;

/** Adds a jump force to an OpenMM::System (the pointer that `int(system.this)` is in Python and an
 * OpenMM_System* is in C). Atoms are those of the System, in its order; the System owns the force.
 *
 * Returns 0, or -1 with the reason in `message` (capacity bytes, cut if need be). */
int32_t marsfm_openmm_attach(void *system, const marsfm_atom_t *atoms, size_t n_atoms,
                             const marsfm_openmm_options_t *options, char *message,
                             size_t capacity);

/** What has come of the jumps of a System's force; returns 0, or -1 if it has none. */
int32_t marsfm_openmm_report(const void *system, marsfm_openmm_report_t *report);

/** Version of OpenMM that the library was built for. */
const char *marsfm_openmm_built_for(void);

#ifdef __cplusplus
} // extern "C"
#endif

#endif
