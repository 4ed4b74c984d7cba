/* Between Rust and OpenMM's C API: OpenMM throws C++ exceptions through its C functions, and an
 * exception that reaches Rust ends the process. Every function here looks one up, calls it, and
 * turns whatever is thrown into a status and a text.
 *
 * OpenMM is loaded at run time: no header of it is included, so one build serves all of 8.x. The
 * functions used have had these signatures from 8.1.1 to 8.6.1. */
#include <dlfcn.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>

namespace {

struct Vec3 {
    double x, y, z;
};

thread_local std::string last;

/* Statuses of this file; the Rust side has the same numbers. */
enum { OK = 0, THROWN = 1, NOT_LOADED = 2, NO_C_API = 3 };

template <class F>
int guarded(F body) noexcept {
    try {
        body();
        return OK;
    } catch (const std::exception &e) {
        try {
            last = e.what();
        } catch (...) {
        }
    } catch (...) {
        try {
            last = "an exception that is no std::exception";
        } catch (...) {
        }
    }
    return THROWN;
}

/* One line per function: result, name behind OpenMM_, parameters. */
#define FUNCTIONS(X)                                                                    \
    X(const char *, Platform_getOpenMMVersion, ())                                      \
    X(void *, Platform_loadPluginsFromDirectory, (const char *))                        \
    X(void *, Platform_getPluginLoadFailures, ())                                       \
    X(int, Platform_getNumPlatforms, ())                                                \
    X(void *, Platform_getPlatform, (int))                                              \
    X(const char *, Platform_getName, (const void *))                                   \
    X(double, Platform_getSpeed, (const void *))                                        \
    X(const void *, Platform_getPropertyNames, (const void *))                          \
    X(void, Platform_setPropertyDefaultValue, (void *, const char *, const char *))     \
    X(int, StringArray_getSize, (const void *))                                         \
    X(const char *, StringArray_get, (const void *, int))                               \
    X(void, StringArray_destroy, (void *))                                              \
    X(void *, XmlSerializer_deserializeSystem, (const char *))                          \
    X(void *, XmlSerializer_deserializeState, (const char *))                           \
    X(char *, XmlSerializer_serializeState, (const void *))                             \
    X(int, System_getNumParticles, (const void *))                                      \
    X(double, System_getParticleMass, (const void *, int))                              \
    X(int, System_isVirtualSite, (const void *, int))                                   \
    X(int, System_getNumConstraints, (const void *))                                    \
    X(void, System_getConstraintParameters, (const void *, int, int *, int *, double *)) \
    X(int, System_usesPeriodicBoundaryConditions, (const void *))                       \
    X(void, System_getDefaultPeriodicBoxVectors, (const void *, Vec3 *, Vec3 *, Vec3 *)) \
    X(int, System_addForce, (void *, void *))                                           \
    X(void, System_destroy, (void *))                                                   \
    X(void *, CustomExternalForce_create, (const char *))                               \
    X(int, CustomExternalForce_addGlobalParameter, (void *, const char *, double))      \
    X(int, CustomExternalForce_addPerParticleParameter, (void *, const char *))         \
    X(int, CustomExternalForce_addParticle, (void *, int, const void *))                \
    X(void, CustomExternalForce_setParticleParameters, (void *, int, int, const void *)) \
    X(void, CustomExternalForce_updateParametersInContext, (void *, void *))            \
    X(void *, DoubleArray_create, (int))                                                \
    X(void, DoubleArray_set, (void *, int, double))                                     \
    X(void, DoubleArray_destroy, (void *))                                              \
    X(void *, LangevinMiddleIntegrator_create, (double, double, double))                \
    X(void, LangevinMiddleIntegrator_setRandomNumberSeed, (void *, int))                \
    X(void, Integrator_step, (void *, int))                                             \
    X(void, Integrator_destroy, (void *))                                               \
    X(void *, Context_create_2, (const void *, void *, void *))                         \
    X(void, Context_destroy, (void *))                                                  \
    X(void, Context_setPositions, (void *, const void *))                               \
    X(void, Context_setVelocitiesToTemperature, (void *, double, int))                  \
    X(void, Context_setPeriodicBoxVectors, (void *, const Vec3 *, const Vec3 *, const Vec3 *)) \
    X(void, Context_setParameter, (void *, const char *, double))                       \
    X(void, Context_applyConstraints, (void *, double))                                 \
    X(void, Context_computeVirtualSites, (void *))                                      \
    X(void, Context_setState, (void *, const void *))                                   \
    X(void, Context_setTime, (void *, double))                                          \
    X(void *, Context_getState, (const void *, int, int))                               \
    X(void, LocalEnergyMinimizer_minimize, (void *, double, int, void *))               \
    X(const void *, State_getPositions, (const void *))                                 \
    X(const void *, State_getForces, (const void *))                                    \
    X(double, State_getPotentialEnergy, (const void *))                                 \
    X(double, State_getKineticEnergy, (const void *))                                   \
    X(void, State_getPeriodicBoxVectors, (const void *, Vec3 *, Vec3 *, Vec3 *))        \
    X(void, State_destroy, (void *))                                                    \
    X(void *, Vec3Array_create, (int))                                                  \
    X(void, Vec3Array_set, (void *, int, Vec3))                                         \
    X(int, Vec3Array_getSize, (const void *))                                           \
    X(const Vec3 *, Vec3Array_get, (const void *, int))                                 \
    X(void, Vec3Array_destroy, (void *))

struct Functions {
#define FIELD(result, name, parameters) result(*name) parameters;
    FUNCTIONS(FIELD)
#undef FIELD
};

Functions f; /* filled once by marsfm_omm_load, read afterwards */

/* Bits of a State. */
enum { POSITIONS = 1, VELOCITIES = 2, FORCES = 4, ENERGY = 8 };

/* OpenMM reads and writes the numbers of its XML with one scratch space for the whole process
 * (David Gay's dtoa, built without locks): two threads at it change each other's numbers. */
std::mutex xml_numbers;

/* Frees an object of OpenMM at the end of a scope, thrown through or not. */
struct Scoped {
    void *object;
    void (*destroy)(void *);
    ~Scoped() {
        if (object != nullptr) {
            destroy(object);
        }
    }
};

struct Simulation {
    void *system = nullptr;
    void *integrator = nullptr;
    void *context = nullptr;
    void *restraint = nullptr; /* owned by the system */
    ~Simulation() {
        if (context != nullptr) f.Context_destroy(context);
        if (integrator != nullptr) f.Integrator_destroy(integrator);
        if (system != nullptr) f.System_destroy(system);
    }
};

size_t copy(const std::string &text, char *buffer, size_t capacity) {
    if (buffer != nullptr && capacity > 0) {
        size_t n = text.size() < capacity - 1 ? text.size() : capacity - 1;
        std::memcpy(buffer, text.data(), n);
        buffer[n] = '\0';
    }
    return text.size() + 1;
}

void append(void *strings, std::string *text) {
    Scoped scoped{strings, f.StringArray_destroy};
    for (int i = 0; i < f.StringArray_getSize(strings); ++i) {
        *text += f.StringArray_get(strings, i);
        *text += '\n';
    }
}

} // namespace

extern "C" {

/* Text of the last failure on this thread: copied, its whole length with the NUL returned. */
size_t marsfm_omm_error(char *buffer, size_t capacity) {
    return copy(last, buffer, capacity);
}

/* Loads libOpenMM and looks its functions up. Once per process. */
int marsfm_omm_load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char *why = dlerror();
        last = why != nullptr ? why : "dlopen failed";
        return NOT_LOADED;
    }
#define LOOK_UP(result, name, parameters)                                    \
    f.name = reinterpret_cast<result(*) parameters>(dlsym(library, "OpenMM_" #name)); \
    if (f.name == nullptr) {                                                 \
        last = "OpenMM_" #name;                                              \
        return NO_C_API;                                                     \
    }
    FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    return OK;
}

int marsfm_omm_version(char *buffer, size_t capacity) {
    return guarded([&] { copy(f.Platform_getOpenMMVersion(), buffer, capacity); });
}

/* Loads plugins; a line of `failures` for each that did not load. */
int marsfm_omm_load_plugins(const char *folder, char *failures, size_t capacity) {
    return guarded([&] {
        std::string ignored, text;
        append(f.Platform_loadPluginsFromDirectory(folder), &ignored);
        append(f.Platform_getPluginLoadFailures(), &text);
        copy(text, failures, capacity);
    });
}

int marsfm_omm_platforms(int *count) {
    return guarded([&] { *count = f.Platform_getNumPlatforms(); });
}

/* Name of a platform and of its properties, one a line. */
int marsfm_omm_platform(int index, char *buffer, size_t capacity, double *speed) {
    return guarded([&] {
        void *platform = f.Platform_getPlatform(index);
        std::string text = f.Platform_getName(platform);
        const void *names = f.Platform_getPropertyNames(platform); /* the platform's own */
        for (int i = 0; i < f.StringArray_getSize(names); ++i) {
            text += '\n';
            text += f.StringArray_get(names, i);
        }
        *speed = f.Platform_getSpeed(platform);
        copy(text, buffer, capacity);
    });
}

int marsfm_omm_set_property(int platform, const char *name, const char *value) {
    return guarded([&] {
        f.Platform_setPropertyDefaultValue(f.Platform_getPlatform(platform), name, value);
    });
}

/* A system, not yet with a context. */
int marsfm_omm_system(const char *xml, Simulation **out) {
    return guarded([&] {
        Simulation *made = new Simulation;
        try {
            std::lock_guard<std::mutex> alone(xml_numbers);
            made->system = f.XmlSerializer_deserializeSystem(xml);
        } catch (...) {
            delete made;
            throw;
        }
        *out = made;
    });
}

/* Adds harmonic restraints 1/2 k |r - r0|^2 to some atoms, with k 0 for now. Before the context. */
int marsfm_omm_add_restraint(Simulation *s, const int *atoms, size_t n_atoms) {
    return guarded([&] {
        void *force = f.CustomExternalForce_create(
            "0.5*marsfm_k*((x-marsfm_x)^2+(y-marsfm_y)^2+(z-marsfm_z)^2)");
        f.System_addForce(s->system, force); /* takes the force */
        s->restraint = force;
        f.CustomExternalForce_addGlobalParameter(force, "marsfm_k", 0.0);
        f.CustomExternalForce_addPerParticleParameter(force, "marsfm_x");
        f.CustomExternalForce_addPerParticleParameter(force, "marsfm_y");
        f.CustomExternalForce_addPerParticleParameter(force, "marsfm_z");
        Scoped origin{f.DoubleArray_create(3), f.DoubleArray_destroy};
        for (int k = 0; k < 3; ++k) f.DoubleArray_set(origin.object, k, 0.0);
        for (size_t i = 0; i < n_atoms; ++i) {
            f.CustomExternalForce_addParticle(force, atoms[i], origin.object);
        }
    });
}

/* Centres of the restraints: the places of `atoms` in `xyz`. */
int marsfm_omm_restrain(Simulation *s, const int *atoms, size_t n_atoms, const double *xyz) {
    return guarded([&] {
        Scoped origin{f.DoubleArray_create(3), f.DoubleArray_destroy};
        for (size_t i = 0; i < n_atoms; ++i) {
            for (int k = 0; k < 3; ++k) {
                f.DoubleArray_set(origin.object, k, xyz[3 * static_cast<size_t>(atoms[i]) + k]);
            }
            int index = static_cast<int>(i);
            f.CustomExternalForce_setParticleParameters(s->restraint, index, atoms[i],
                                                        origin.object);
        }
        f.CustomExternalForce_updateParametersInContext(s->restraint, s->context);
    });
}

int marsfm_omm_restraint_strength(Simulation *s, double k) {
    return guarded([&] { f.Context_setParameter(s->context, "marsfm_k", k); });
}

/* An integrator and a context on a platform. */
int marsfm_omm_context(Simulation *s, int platform, double kelvin, double friction, double step,
                       int rng_seed) {
    return guarded([&] {
        s->integrator = f.LangevinMiddleIntegrator_create(kelvin, friction, step);
        f.LangevinMiddleIntegrator_setRandomNumberSeed(s->integrator, rng_seed);
        s->context =
            f.Context_create_2(s->system, s->integrator, f.Platform_getPlatform(platform));
    });
}

void marsfm_omm_free(Simulation *s) {
    guarded([&] { delete s; });
}

int marsfm_omm_counts(Simulation *s, int *particles, int *constraints, int *periodic) {
    return guarded([&] {
        *particles = f.System_getNumParticles(s->system);
        *constraints = f.System_getNumConstraints(s->system);
        *periodic = f.System_usesPeriodicBoundaryConditions(s->system);
    });
}

int marsfm_omm_particle(Simulation *s, int index, double *mass, int *is_virtual) {
    return guarded([&] {
        *mass = f.System_getParticleMass(s->system, index);
        *is_virtual = f.System_isVirtualSite(s->system, index);
    });
}

int marsfm_omm_constraint(Simulation *s, int index, int *first, int *second) {
    double distance = 0.0;
    return guarded([&] {
        f.System_getConstraintParameters(s->system, index, first, second, &distance);
    });
}

int marsfm_omm_default_cell(Simulation *s, double *cell) {
    return guarded([&] {
        Vec3 v[3];
        f.System_getDefaultPeriodicBoxVectors(s->system, &v[0], &v[1], &v[2]);
        std::memcpy(cell, v, sizeof v);
    });
}

/* Positions of all particles; cell may be NULL. The caller has checked count and finiteness. */
int marsfm_omm_set_positions(Simulation *s, const double *xyz, size_t n_atoms,
                             const double *cell) {
    return guarded([&] {
        if (cell != nullptr) {
            Vec3 v[3];
            std::memcpy(v, cell, sizeof v);
            f.Context_setPeriodicBoxVectors(s->context, &v[0], &v[1], &v[2]);
        }
        Scoped array{f.Vec3Array_create(static_cast<int>(n_atoms)), f.Vec3Array_destroy};
        for (size_t i = 0; i < n_atoms; ++i) {
            f.Vec3Array_set(array.object, static_cast<int>(i),
                            Vec3{xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]});
        }
        f.Context_setPositions(s->context, array.object);
    });
}

int marsfm_omm_constrain(Simulation *s, double tolerance) {
    return guarded([&] {
        f.Context_applyConstraints(s->context, tolerance);
        f.Context_computeVirtualSites(s->context);
    });
}

int marsfm_omm_minimise(Simulation *s, double tolerance, int iterations) {
    return guarded([&] {
        f.LocalEnergyMinimizer_minimize(s->context, tolerance, iterations, nullptr);
    });
}

int marsfm_omm_velocities(Simulation *s, double kelvin, int rng_seed) {
    return guarded([&] { f.Context_setVelocitiesToTemperature(s->context, kelvin, rng_seed); });
}

int marsfm_omm_step(Simulation *s, int steps) {
    return guarded([&] { f.Integrator_step(s->integrator, steps); });
}

int marsfm_omm_energies(Simulation *s, double *potential, double *kinetic) {
    return guarded([&] {
        Scoped state{f.Context_getState(s->context, ENERGY, 0), f.State_destroy};
        *potential = f.State_getPotentialEnergy(state.object);
        *kinetic = f.State_getKineticEnergy(state.object);
    });
}

/* Positions and cell, and, unless NULL, forces. */
int marsfm_omm_positions(Simulation *s, double *xyz, double *forces, size_t n_atoms,
                         double *cell) {
    return guarded([&] {
        int what = POSITIONS | (forces != nullptr ? FORCES : 0);
        Scoped state{f.Context_getState(s->context, what, 0), f.State_destroy};
        auto take = [&](const void *array, double *to) {
            size_t n = static_cast<size_t>(f.Vec3Array_getSize(array));
            for (size_t i = 0; i < n && i < n_atoms; ++i) {
                std::memcpy(to + 3 * i, f.Vec3Array_get(array, static_cast<int>(i)),
                            sizeof(Vec3));
            }
        };
        take(f.State_getPositions(state.object), xyz);
        if (forces != nullptr) take(f.State_getForces(state.object), forces);
        Vec3 v[3];
        f.State_getPeriodicBoxVectors(state.object, &v[0], &v[1], &v[2]);
        std::memcpy(cell, v, sizeof v);
    });
}

/* Positions and velocities as XML. OpenMM allocates the text with new[] or malloc, depending on
 * its version and standard library, and offers no function to free it: it is left. */
int marsfm_omm_state_xml(Simulation *s, const char **xml) {
    return guarded([&] {
        Scoped state{f.Context_getState(s->context, POSITIONS | VELOCITIES, 0), f.State_destroy};
        std::lock_guard<std::mutex> alone(xml_numbers);
        *xml = f.XmlSerializer_serializeState(state.object);
    });
}

int marsfm_omm_set_state_xml(Simulation *s, const char *xml) {
    return guarded([&] {
        std::unique_lock<std::mutex> alone(xml_numbers);
        Scoped state{f.XmlSerializer_deserializeState(xml), f.State_destroy};
        alone.unlock();
        f.Context_setState(s->context, state.object);
        f.Context_setTime(s->context, 0.0);
    });
}

} /* extern "C" */
