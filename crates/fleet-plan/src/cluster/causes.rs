//! Why an update of the cloud failed: whether another try can mend it, who can act, and how.

use crate::report::Who;

/// What a code of a failure says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// Whether it may be gone at another try though nobody did anything.
    pub may_pass: bool,
    /// Who can end it.
    pub who: Who,
    /// What they can do, as an imperative.
    pub hint: &'static str,
}

/// What is known of a code: one of EKS's for a failed update (API reference, `ErrorDetail`), or the class of a refusal.
///
/// Addresses, capacity, pods that cannot move yet and an API server that does not answer come and go. Permissions,
/// quotas, networks that were deleted and settings that contradict each other stay until somebody changes them. A
/// code that is not known here may pass: the few tries that it gets cost little.
pub fn cause(code: &str) -> Cause {
    let stays = |who, hint| Cause { may_pass: false, who, hint };
    let passes = |who, hint| Cause { may_pass: true, who, hint };
    match code {
        "EniLimitReached" => {
            stays(Who::Operator, "have the account's quota of network interfaces raised, or free some")
        }
        "SubnetNotFound" | "SecurityGroupNotFound" | "VpcIdNotFound" => {
            stays(Who::Operator, "restore the network that the message names, or give the class another one")
        }
        "AccessDenied" | "OperationNotPermitted" => {
            stays(Who::Operator, "give the role that the message names its permissions back")
        }
        "ConfigurationConflict" | "UnsupportedAddonModification" => stays(
            Who::Operator,
            "take back what was changed of the add-on by hand, or change its settings in the class",
        ),
        "AdmissionRequestDenied" => {
            stays(Who::Tenant, "let the admission webhook or policy that the message names admit the change")
        }
        "K8sResourceNotFound" => stays(Who::Operator, "restore the object that the message names"),
        "Denied" => stays(Who::Operator, "give the class's role the permission that the message names"),
        "LimitReached" => stays(Who::Operator, "have the quota raised in the AWS account"),
        "NotOurs" => stays(Who::Operator, "delete or rename what has the name, or set its ownership tag"),
        "Invalid" => stays(Who::Operator, "change the class or the tenant as the message asks for"),
        "PodEvictionFailure" => passes(
            Who::Tenant,
            "let the pods that the message names be evicted: more replicas, or a budget that allows one disruption",
        ),
        "InsufficientNumberOfReplicas" => passes(Who::Tenant, "bring up the pods that the message names"),
        "IpNotAvailable" | "InsufficientFreeAddresses" => {
            passes(Who::Operator, "free addresses in the subnets, or add a subnet to the class")
        }
        "NodeCreationFailure" => passes(
            Who::Operator,
            "see in the AWS account why nodes do not join: their role, their network, or the zone's capacity",
        ),
        "ClusterUnreachable" => {
            passes(Who::Operator, "see in the AWS account why EKS does not reach the API server")
        }
        _ => passes(Who::Operator, "look at the update in the AWS account, and put right what it names"),
    }
}
