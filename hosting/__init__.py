"""How a worker's and a client's process behave, whatever work they do."""
