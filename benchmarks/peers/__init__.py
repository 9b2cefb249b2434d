"""Who takes part, from inside their processes: one module each, with a `drive(referee)`; `roster` starts them."""
