// What OpenMM calls when the library is loaded, and what Python and C call after that.
#include "jump_force.h"

#include "marsfm_openmm.h"

#include <dlfcn.h>

#include <cstring>
#include <stdexcept>

// MARSFM_OPENMM_VERSION: what CMake found.
#ifndef MARSFM_OPENMM_VERSION
#error "build with the CMakeLists.txt beside this folder"
#endif

namespace {

using marsfm_openmm::JumpForce;

/** major.minor */
std::string series(const std::string &version)
{
    const size_t dot = version.find('.');
    return version.substr(0, version.find('.', dot == std::string::npos ? dot : dot + 1));
}

/** The running OpenMM's version through its C API, which is the same in every build: the C++ library
 * must not be touched before it is known to be the one that this was compiled for. */
std::string running()
{
    using Version = const char *(*)();
    Dl_info self;
    void *library = nullptr;
    // libOpenMM is loaded already: it is what loads this.
    if (dladdr(reinterpret_cast<void *>(&running), &self))
        library = dlopen("libOpenMM.so", RTLD_NOLOAD | RTLD_LAZY);
    void *symbol = library ? dlsym(library, "OpenMM_Platform_getOpenMMVersion") : nullptr;
    if (!symbol)
        symbol = dlsym(RTLD_DEFAULT, "OpenMM_Platform_getOpenMMVersion");
    if (!symbol)
        return "";
    return reinterpret_cast<Version>(symbol)();
}

void say(const std::string &text, char *message, size_t capacity)
{
    if (message && capacity > 0) {
        const size_t n = std::min(text.size(), capacity - 1);
        std::memcpy(message, text.data(), n);
        message[n] = '\0';
    }
}

std::string text(const char *given)
{
    return given ? given : "";
}

} // namespace

extern "C" {

/** Called by OpenMM on load; an exception here makes loadPluginLibrary fail with its text. */
__attribute__((visibility("default"))) void registerPlatforms()
{
    const std::string now = running();
    if (series(now) != series(MARSFM_OPENMM_VERSION))
        throw std::runtime_error("libOpenMMMarsfm was built for OpenMM " +
                                 series(MARSFM_OPENMM_VERSION) + ".x and this is " +
                                 (now.empty() ? "one without a C interface" : now) +
                                 ": build plugins/openmm-force against it");
    marsfm_openmm::register_proxy();
}

/** No kernels: the force works on every platform. */
__attribute__((visibility("default"))) void registerKernelFactories() {}

__attribute__((visibility("default"))) const char *marsfm_openmm_built_for()
{
    return MARSFM_OPENMM_VERSION;
}

__attribute__((visibility("default"))) int32_t
marsfm_openmm_attach(void *system, const marsfm_atom_t *atoms, size_t n_atoms,
                     const marsfm_openmm_options_t *options, char *message, size_t capacity)
{
    try {
        if (!system || !atoms || !options)
            throw std::invalid_argument("system, atoms and options must be given");
        if (options->struct_size != sizeof *options)
            throw std::invalid_argument("options.struct_size is not that of this library");
        if (series(running()) != series(MARSFM_OPENMM_VERSION))
            throw std::invalid_argument("built for another OpenMM");
        marsfm_openmm::Settings settings;
        settings.interval_steps = options->interval_steps;
        settings.temperature_kelvin = options->temperature_kelvin;
        settings.draws = options->draws ? options->draws : settings.draws;
        settings.rng_seed = options->rng_seed;
        settings.model_path = text(options->model_path);
        for (size_t i = 0; i < n_atoms; ++i) {
            marsfm_openmm::Atom atom;
            atom.name = text(atoms[i].name);
            atom.element = text(atoms[i].element);
            atom.residue = text(atoms[i].residue_name);
            atom.chain = text(atoms[i].chain);
            atom.insertion = text(atoms[i].insertion);
            atom.number = atoms[i].residue_number;
            settings.atoms.push_back(std::move(atom));
        }
        OpenMM::System &target = *static_cast<OpenMM::System *>(system);
        if (static_cast<size_t>(target.getNumParticles()) != n_atoms)
            throw std::invalid_argument("the System has " +
                                        std::to_string(target.getNumParticles()) +
                                        " particles, and " + std::to_string(n_atoms) +
                                        " atoms were given");
        target.addForce(new JumpForce(std::move(settings)));
        return 0;
    } catch (const std::exception &e) {
        say(e.what(), message, capacity);
    } catch (...) {
        say("an unknown error", message, capacity);
    }
    return -1;
}

__attribute__((visibility("default"))) int32_t
marsfm_openmm_report(const void *system, marsfm_openmm_report_t *report)
{
    if (!system || !report || report->struct_size != sizeof *report)
        return -1;
    const OpenMM::System &owner = *static_cast<const OpenMM::System *>(system);
    for (int i = 0; i < owner.getNumForces(); ++i)
        if (const JumpForce *force = dynamic_cast<const JumpForce *>(&owner.getForce(i))) {
            const marsfm_openmm::Report &r = *force->report();
            report->due = r.due;
            report->jumped = r.jumped;
            report->refused = r.refused;
            report->last_step = r.last_step;
            return 0;
        }
    return -1;
}

} // extern "C"
