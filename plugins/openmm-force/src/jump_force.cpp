// The force's settings, and their XML.
#include "jump_force.h"
#include "jump_impl.h"

#include <openmm/serialization/SerializationNode.h>
#include <openmm/serialization/SerializationProxy.h>

#include <cmath>

namespace marsfm_openmm {

using OpenMM::OpenMMException;
using OpenMM::SerializationNode;

JumpForce::JumpForce(Settings settings) : settings_(std::move(settings))
{
    const Settings &s = settings_;
    if (s.interval_steps < 1)
        throw OpenMMException("marsfm: interval_steps is " + std::to_string(s.interval_steps) +
                              "; expected at least 1");
    if (!(std::isfinite(s.temperature_kelvin) && s.temperature_kelvin > 0.0))
        throw OpenMMException("marsfm: temperature_kelvin must be above 0");
    if (s.draws < 1 || s.draws > 100000)
        throw OpenMMException("marsfm: draws is " + std::to_string(s.draws) +
                              "; expected 1 to 100000");
    if (s.atoms.empty())
        throw OpenMMException("marsfm: no atoms were given");
}

OpenMM::ForceImpl *JumpForce::createImpl() const
{
    return new JumpImpl(*this);
}

namespace {

class Proxy : public OpenMM::SerializationProxy {
public:
    Proxy() : SerializationProxy("MarsfmJumpForce") {}

    void serialize(const void *object, SerializationNode &node) const override
    {
        const JumpForce &force = *static_cast<const JumpForce *>(object);
        const Settings &s = force.settings();
        node.setIntProperty("version", 1);
        node.setIntProperty("forceGroup", force.getForceGroup());
        node.setStringProperty("name", force.getName());
        node.setStringProperty("intervalSteps", std::to_string(s.interval_steps));
        node.setDoubleProperty("temperatureKelvin", s.temperature_kelvin);
        node.setStringProperty("draws", std::to_string(s.draws));
        node.setStringProperty("rngSeed", std::to_string(s.rng_seed));
        node.setStringProperty("modelPath", s.model_path);
        SerializationNode &atoms = node.createChildNode("Atoms");
        for (const Atom &a : s.atoms) {
            SerializationNode &atom = atoms.createChildNode("Atom");
            atom.setStringProperty("name", a.name).setStringProperty("element", a.element);
            atom.setStringProperty("residue", a.residue).setStringProperty("chain", a.chain);
            atom.setStringProperty("insertion", a.insertion).setIntProperty("number", a.number);
        }
    }

    void *deserialize(const SerializationNode &node) const override
    {
        if (node.getIntProperty("version") != 1)
            throw OpenMMException("marsfm: the jump force was written by a newer version");
        Settings s;
        s.interval_steps = std::stoll(node.getStringProperty("intervalSteps"));
        s.temperature_kelvin = node.getDoubleProperty("temperatureKelvin");
        s.draws = std::stoll(node.getStringProperty("draws"));
        s.rng_seed = std::stoll(node.getStringProperty("rngSeed"));
        s.model_path = node.getStringProperty("modelPath");
        for (const SerializationNode &atom : node.getChildNode("Atoms").getChildren()) {
            Atom a;
            a.name = atom.getStringProperty("name");
            a.element = atom.getStringProperty("element");
            a.residue = atom.getStringProperty("residue");
            a.chain = atom.getStringProperty("chain");
            a.insertion = atom.getStringProperty("insertion");
            a.number = atom.getIntProperty("number");
            s.atoms.push_back(std::move(a));
        }
        JumpForce *force = new JumpForce(std::move(s));
        force->setForceGroup(node.getIntProperty("forceGroup", 0));
        force->setName(node.getStringProperty("name", force->getName()));
        return force;
    }
};

} // namespace

void register_proxy()
{
    OpenMM::SerializationProxy::registerProxy(typeid(JumpForce), new Proxy);
}

} // namespace marsfm_openmm
