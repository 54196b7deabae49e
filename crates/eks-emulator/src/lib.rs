//! An EKS endpoint for the real AWS SDKs, with real kube-apiservers behind its clusters
