// The force at work in a Context.
#pragma once

#include "jump_force.h"

#include <marsfm.hpp>
#include <openmm/internal/ContextImpl.h>
#include <openmm/internal/ForceImpl.h>

#include <memory>

namespace marsfm_openmm {

/** Minimises structures beside the Context: the same System without the jump force, with harmonic
 * restraints on heavy atoms that can be switched off. */
class Beside {
public:
    Beside(const OpenMM::System &system, const JumpForce &force, const std::vector<bool> &heavy,
           OpenMM::ContextImpl &context);

    /** Positions after restrained and free minimisation, and their energies. */
    marsfm_minimised_t minimise(std::vector<OpenMM::Vec3> &positions);

private:
    double energy();
    std::unique_ptr<OpenMM::System> system_;
    OpenMM::CustomExternalForce *restraint_; // owned by the System
    OpenMM::VerletIntegrator integrator_{0.001};
    std::unique_ptr<OpenMM::Context> context_;
};

class JumpImpl : public OpenMM::ForceImpl {
public:
    explicit JumpImpl(const JumpForce &force) : force_(force) {}

    void initialize(OpenMM::ContextImpl &context) override;
    const OpenMM::Force &getOwner() const override { return force_; }
    void updateContextState(OpenMM::ContextImpl &context, bool &forces_invalid) override;
    double calcForcesAndEnergy(OpenMM::ContextImpl &, bool, bool, int) override { return 0.0; }
    std::map<std::string, double> getDefaultParameters() override { return {}; }
    std::vector<std::string> getKernelNames() override { return {}; }

private:
    bool jump(OpenMM::ContextImpl &context, long long step);

    const JumpForce &force_;
    std::vector<bool> heavy_;
    std::unique_ptr<marsfm::Session> session_;
    std::unique_ptr<Beside> beside_;
    std::vector<marsfm_minimised_t> ensemble_;
};

} // namespace marsfm_openmm
