"""Making adapters: data, training, the gate, publishing. Stand-alone scripts; torch is loaded only in them."""
