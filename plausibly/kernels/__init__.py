"""The few fused kernels, each an operator of torch beside the plain loop that says what it means."""
