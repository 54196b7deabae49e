//! What was seen inside a tenant's cluster, beside what its cloud shows of it.

/// What was seen inside a tenant's cluster that an upgrade depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// The PodDisruptionBudgets that may keep a node from being drained: those with pods.
    pub budgets: Vec<Budget>,
    /// The admission webhooks that must answer and are asked about what an upgrade does.
    pub webhooks: Vec<Webhook>,
    /// True when there was more than was looked at.
    pub cut_off: bool,
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Namespace and name.
    pub name: String,
    /// How many of its pods may be disrupted now; `None` while nobody has judged the budget as it stands.
    pub allowed: Option<i64>,
    /// How many pods it has.
    pub pods: i64,
}

/// An admission webhook whose failure fails the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Configuration and webhook, such as `ValidatingWebhookConfiguration policy/pods.example.com`.
    pub name: String,
    /// The Service behind it, as namespace and name; `None` for a URL, which cannot be looked at from outside.
    pub service: Option<String>,
    /// Whether the Service has an endpoint that is ready.
    pub answers: bool,
}
