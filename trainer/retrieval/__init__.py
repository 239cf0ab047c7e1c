"""The data plane: labelled pages, what finds them again, and the questions that are frozen with what was found."""
