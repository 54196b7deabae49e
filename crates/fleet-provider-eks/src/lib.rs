//! EKS behind the provider seam: the only crate that names the AWS SDK
