//! A proposer of a plugin: `proposer = "plugin:NAME"`, all options of the strategy the plugin's own.

use anyhow::Result;
use marsfm_adaptive::{Context, LoopError, Proposal, Proposer, StrategySettings};
use marsfm_geometry::Topology;
use marsfm_host::{Host, PluginProposer, Wanted};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Proposals from each frame, as many as of a surrogate unless it is told otherwise.
const PER_PARENT: usize = 4;

/// The plugin's name in a proposer's, if it is one.
pub fn name_of(proposer: &str) -> Option<&str> {
    proposer.strip_prefix("plugin:")
}

/// A bound plugin.
pub struct Plugged {
    class: String,
    proposer: PluginProposer,
}

impl Plugged {
    /// Binds the plugin called `name` to an engine's atoms.
    pub fn open(
        host: &Host,
        name: &str,
        atoms: &Topology,
        strategy: &StrategySettings,
    ) -> Result<Self> {
        let options = serde_json::to_string(&strategy.options)?;
        let proposer = host.proposer(name, atoms, &options)?;
        Ok(Self { class: strategy.proposer.clone(), proposer })
    }
}

impl Proposer for Plugged {
    fn class(&self) -> &str {
        &self.class
    }

    fn propose(
        &mut self,
        context: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        let parents = context.parents(n.div_ceil(PER_PARENT).max(1), rng)?;
        let micro = context.model.micro_trajectories();
        let count = |at: &marsfm_adaptive::FrameAt| {
            let counted = at.frame - context.history.runs[at.run].head_frames as usize;
            context.model.counts()[micro[at.run][counted] as usize]
        };
        let wanted = Wanted {
            n,
            rng_seed: rng.random(),
            epoch: context.history.epochs.len() as u64,
            temperature_kelvin: context.engine.temperature_kelvin(),
            parents_nm: &parents.iter().map(|(_, s)| &s[..]).collect::<Vec<_>>(),
            parent_counts: &parents.iter().map(|(at, _)| count(at)).collect::<Vec<_>>(),
        };
        let made = self.proposer.propose(&wanted);
        let made = made.map_err(|e| {
            LoopError::words(format!(
                "the proposer {} failed: {e}. Nothing is lost: mend it and run the loop again",
                self.class
            ))
        })?;
        let proposal = |p: marsfm_host::Proposed| Proposal {
            structure: p.positions_nm,
            parent: p.parent.map(|i| parents[i].0),
            class: self.class.clone(),
        };
        Ok(made.into_iter().map(proposal).collect())
    }
}
