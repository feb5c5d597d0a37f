"""The figures of Plesh et al. 2024 and what each claims, measured."""
