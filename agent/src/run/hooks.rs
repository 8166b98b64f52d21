//! The operator's programs that are run when a role changes: never on the way of the change itself, and for each hook one after
//! the other, in the order of the changes.

use std::time::Duration;

use baton_common::vrid::Family;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::HookConfig;
use crate::program::{Program, ProgramError};
use crate::vrrp::{Reason, Transition};

/// Changes that may wait for a hook: of every virtual router that there can be, and again.
const QUEUE: usize = 1024;

/// All hooks.
pub(super) struct Hooks(Vec<Hook>);

/// A hook.
struct Hook {
    config: HookConfig,
    program: Program,
}

/// A change of a role.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) interface: String,
    pub(super) vrid: u8,
    pub(super) family: Family,
    /// Takeovers since the maps were made.
    pub(super) epoch: u32,
    pub(super) transition: Transition,
}

/// The way to the hooks. When it is dropped, they end after what they have still to do.
pub(super) struct Queues(Vec<(HookConfig, Sender<Change>)>);

/// The hooks at work.
pub(super) struct Running {
    hooks: JoinSet<()>,
    patience: Duration,
}

impl Hooks {
    /// The hooks that `configs` describe.
    ///
    /// # Errors
    ///
    /// One is to run as a user that there is not.
    pub(super) fn new(configs: &[HookConfig]) -> Result<Self, ProgramError> {
        let hook = |config: &HookConfig| {
            let program = Program::new(&config.exec, config.user.as_deref())?;
            Ok(Hook { config: config.clone(), program })
        };
        configs.iter().map(hook).collect::<Result<_, _>>().map(Self)
    }

    /// Runs them on `runtime` for all changes that come through the queues.
    pub(super) fn begin(self, runtime: &Runtime) -> (Queues, Running) {
        let patience = self.0.iter().map(|hook| hook.config.patience).max().unwrap_or_default();
        let (mut hooks, mut queues) = (JoinSet::new(), Vec::new());
        for hook in self.0 {
            let (sender, changes) = mpsc::channel(QUEUE);
            queues.push((hook.config.clone(), sender));
            hooks.spawn_on(hook.follow(changes), runtime.handle());
        }
        (Queues(queues), Running { hooks, patience })
    }
}

impl Queues {
    /// Gives a change to the hooks that it concerns.
    pub(super) fn tell(&self, change: &Change) {
        for (config, queue) in &self.0 {
            if is_for(config, change.transition) && queue.try_send(change.clone()).is_err() {
                tracing::warn!(
                    hook = config.exec[0],
                    ?change,
                    "the hook is too slow; this change is left out"
                );
            }
        }
    }
}

impl Running {
    /// Waits until they have done what they have to do, as long as one may take.
    pub(super) async fn finish(mut self) {
        let all = async { while self.hooks.join_next().await.is_some() {} };
        let _ = timeout(self.patience, all).await;
    }
}

/// A restart changes no role, though the next agent begins with taking it up.
fn is_for(config: &HookConfig, Transition { from, to, reason }: Transition) -> bool {
    from != to && reason != Reason::Resumed && (config.on.is_empty() || config.on.contains(&to))
}

impl Hook {
    async fn follow(self, mut changes: Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            self.run(&change).await;
        }
    }

    async fn run(&self, change: &Change) {
        let Change { interface, vrid, family, epoch, transition: Transition { from, to, reason } } = change;
        let variables = [
            ("BATON_INTERFACE", interface.clone()),
            ("BATON_VRID", vrid.to_string()),
            ("BATON_FAMILY", family.name().to_owned()),
            ("BATON_FROM", from.to_string()),
            ("BATON_TO", to.to_string()),
            ("BATON_REASON", reason.to_string()),
            ("BATON_EPOCH", epoch.to_string()),
        ];
        let HookConfig { exec, patience, .. } = &self.config;
        let hook = exec[0].as_str();
        match timeout(*patience, self.program.run(&variables)).await {
            Ok(Ok(())) => tracing::debug!(hook, "done"),
            Ok(Err(error)) => tracing::warn!(hook, %error, "the hook has failed"),
            Err(_) => tracing::warn!(hook, ?patience, "the hook was killed: it has taken too long"),
        }
    }
}
