"""What an edit costs at the size of real models, beside other closed forms and the floor: ``edit-assumption bench sizes``."""
