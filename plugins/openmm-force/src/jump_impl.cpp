// Jumps inside a Context: draw, minimise beside it, judge, replace positions and velocities.
#include "jump_impl.h"

#include <openmm/LocalEnergyMinimizer.h>
#include <openmm/serialization/XmlSerializer.h>

#include <algorithm>
#include <cmath>

namespace marsfm_openmm {

using OpenMM::Context;
using OpenMM::ContextImpl;
using OpenMM::OpenMMException;
using OpenMM::State;
using OpenMM::System;
using OpenMM::Vec3;

namespace {

// As the engine plugin: enough to mend a sample, too little to make it another conformation.
const double RESTRAINT_KJ_MOL_NM2 = 10000.0;
const int RESTRAINED_ITERATIONS = 300, FREE_ITERATIONS = 20;
const double TOLERANCE = 10.0;
const char *STRENGTH = "marsfm_k";

bool finite(const std::vector<Vec3> &positions)
{
    return std::all_of(positions.begin(), positions.end(), [](const Vec3 &p) {
        return std::isfinite(p[0]) && std::isfinite(p[1]) && std::isfinite(p[2]);
    });
}

} // namespace

Beside::Beside(const System &system, const JumpForce &force, const std::vector<bool> &heavy,
               ContextImpl &context)
    : system_(OpenMM::XmlSerializer::clone(system))
{
    for (int i = system.getNumForces() - 1; i >= 0; --i)
        if (dynamic_cast<const JumpForce *>(&system.getForce(i)))
            system_->removeForce(i);
    restraint_ = new OpenMM::CustomExternalForce("0.5*marsfm_k*((x-x0)^2+(y-y0)^2+(z-z0)^2)");
    system_->addForce(restraint_);
    restraint_->addGlobalParameter(STRENGTH, 0.0);
    for (const char *name : {"x0", "y0", "z0"})
        restraint_->addPerParticleParameter(name);
    for (size_t i = 0; i < heavy.size(); ++i)
        if (heavy[i])
            restraint_->addParticle(static_cast<int>(i), {0.0, 0.0, 0.0});
    context_.reset(new Context(*system_, integrator_, context.getPlatform()));
    for (const auto &parameter : context.getParameters())
        context_->setParameter(parameter.first, parameter.second);
    (void)force;
}

double Beside::energy()
{
    context_->setParameter(STRENGTH, 0.0);
    return context_->getState(State::Energy).getPotentialEnergy();
}

marsfm_minimised_t Beside::minimise(std::vector<Vec3> &positions)
{
    for (int i = 0; i < restraint_->getNumParticles(); ++i) {
        int atom;
        std::vector<double> old;
        restraint_->getParticleParameters(i, atom, old);
        const Vec3 &p = positions[static_cast<size_t>(atom)];
        restraint_->setParticleParameters(i, atom, {p[0], p[1], p[2]});
    }
    restraint_->updateParametersInContext(*context_);
    context_->setPositions(positions);
    context_->applyConstraints(1e-5);
    context_->computeVirtualSites();
    marsfm_minimised_t result = marsfm::options<marsfm_minimised_t>();
    result.before_kj_mol = energy();
    context_->setParameter(STRENGTH, RESTRAINT_KJ_MOL_NM2);
    OpenMM::LocalEnergyMinimizer::minimize(*context_, TOLERANCE, RESTRAINED_ITERATIONS);
    result.restrained_kj_mol = energy();
    OpenMM::LocalEnergyMinimizer::minimize(*context_, TOLERANCE, FREE_ITERATIONS);
    const State state = context_->getState(State::Energy | State::Forces | State::Positions);
    result.after_kj_mol = state.getPotentialEnergy();
    double largest = 0.0;
    for (const Vec3 &f : state.getForces())
        largest = std::max(largest, std::sqrt(f.dot(f)));
    result.max_force_kj_mol_nm = largest;
    positions = state.getPositions();
    return result;
}

void JumpImpl::initialize(ContextImpl &context)
{
    const Settings &s = force_.settings();
    const System &system = context.getSystem();
    if (static_cast<size_t>(system.getNumParticles()) != s.atoms.size())
        throw OpenMMException("marsfm: the System has " +
                              std::to_string(system.getNumParticles()) +
                              " particles, the jump force was told of " +
                              std::to_string(s.atoms.size()) + " atoms");
    std::vector<marsfm_atom_t> atoms;
    heavy_.clear();
    for (size_t i = 0; i < s.atoms.size(); ++i) {
        const Atom &a = s.atoms[i];
        marsfm_atom_t atom = marsfm::options<marsfm_atom_t>();
        atom.name = a.name.c_str();
        atom.element = a.element.empty() ? nullptr : a.element.c_str();
        atom.residue_name = a.residue.c_str();
        atom.chain = a.chain.c_str();
        atom.insertion = a.insertion.c_str();
        atom.residue_number = a.number;
        atoms.push_back(atom);
        const bool hydrogen =
            a.element.empty() ? a.name.substr(0, 1) == "H" : a.element == "H";
        heavy_.push_back(!hydrogen && system.getParticleMass(static_cast<int>(i)) > 0.0);
    }
    try {
        const marsfm::Topology topology(atoms);
        const marsfm::Model model =
            s.model_path.empty() ? marsfm::Model() : marsfm::Model(s.model_path);
        marsfm_session_options_t options = marsfm::options<marsfm_session_options_t>();
        options.temperature_kelvin = s.temperature_kelvin;
        session_.reset(new marsfm::Session(model, topology, options));
    } catch (const marsfm::error &e) {
        throw OpenMMException(std::string("marsfm: ") + e.what());
    }
}

void JumpImpl::updateContextState(ContextImpl &context, bool &forces_invalid)
{
    const long long step = context.getStepCount();
    if (step == 0 || step % force_.settings().interval_steps != 0)
        return;
    force_.report()->due += 1;
    try {
        if (jump(context, step)) {
            force_.report()->jumped += 1;
            force_.report()->last_step = step;
            forces_invalid = true;
        }
    } catch (const marsfm::error &e) {
        throw OpenMMException(std::string("marsfm: ") + e.what());
    }
}

bool JumpImpl::jump(ContextImpl &context, long long step)
{
    const Settings &s = force_.settings();
    std::vector<Vec3> positions;
    context.getPositions(positions);
    if (!finite(positions))
        throw OpenMMException("marsfm: the positions are not finite before the jump");
    double box[9] = {0.0};
    if (context.getSystem().usesPeriodicBoundaryConditions()) {
        Vec3 rows[3];
        context.getPeriodicBoxVectors(rows[0], rows[1], rows[2]);
        for (int i = 0; i < 9; ++i)
            box[i] = rows[i / 3][i % 3];
    }
    // Every jump has draws of its own, and the same ones if the run is repeated from a checkpoint.
    const std::uint64_t seed = static_cast<std::uint64_t>(s.rng_seed) +
                               static_cast<std::uint64_t>(step / s.interval_steps);
    const size_t draws = static_cast<size_t>(s.draws);
    const marsfm::Batch batch =
        session_->jump(marsfm::Positions(&positions[0][0], positions.size(), sizeof(Vec3)), draws,
                       seed, box);
    if (batch.info().n_bystanders > 0)
        throw OpenMMException("marsfm: the System holds atoms beside the chain; jumps inside a "
                              "Context are for implicit solvent and vacuum, because solvent would "
                              "have to be placed anew around the new conformation");
    if (!beside_)
        beside_.reset(new Beside(context.getSystem(), force_, heavy_, context));
    std::vector<Vec3> before = positions;
    ensemble_.push_back(beside_->minimise(before));
    for (size_t i = 0; i < batch.size(); ++i) {
        if (batch.sample(i).status != MARSFM_SAMPLE_REJECTED) {
            std::vector<Vec3> next(positions.size());
            batch.positions(i, &next[0][0], next.size(), sizeof(Vec3));
            const marsfm_minimised_t energies = beside_->minimise(next);
            if (finite(next) && std::isfinite(energies.after_kj_mol)) {
                const marsfm_seed_info_t seed_info = batch.judge(
                    i, marsfm::Positions(&next[0][0], next.size(), sizeof(Vec3)), energies,
                    ensemble_);
                if (seed_info.status != MARSFM_SEED_REJECTED) {
                    Context &owner = context.getOwner();
                    context.setPositions(next);
                    owner.applyConstraints(1e-5);
                    owner.setVelocitiesToTemperature(
                        s.temperature_kelvin, static_cast<int>(seed % 2147483646u) + 1);
                    return true;
                }
            }
        }
        force_.report()->refused += 1;
    }
    return false;
}

} // namespace marsfm_openmm
