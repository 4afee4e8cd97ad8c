"""The thesis's tables as commands: data in `experiments/`, runs made once, claims checked over paired seeds.

    tables    tables and figures, read and checked
    models    which config, data set and earlier model each of our cells is made with
    mini      the same configs, shrunk to minutes on two cores
    runs      models trained and measured once
    paired    variants compared over paired seeds
    claims    which row beats which: reproduced, not, undecided, not run
    report    the paper's table with our column beside it
"""
