"""Mutants of reference answers: each a small fault that somebody might make, made on purpose.

A rubric that takes no point for a fault that changes what the answer does has a hole. One module a kind of
file makes the mutants; `operators_for` says which, so that a new kind is one module and one line there.
"""

from autograder.mutation.mutants import Mutant, MutantResult, Tally, mutants_of, run_mutants, tally

__all__ = ["Mutant", "MutantResult", "Tally", "mutants_of", "run_mutants", "tally"]
