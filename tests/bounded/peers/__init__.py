"""What other engines do with the programs of the bounded-memory suite, in the same control group: run by hand."""
