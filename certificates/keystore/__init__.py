"""Where private keys are, and how they come to sign."""
