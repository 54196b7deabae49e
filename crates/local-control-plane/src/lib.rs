//! Real etcd, kube-apiserver and kube-controller-manager processes on one machine
