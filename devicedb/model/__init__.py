"""What rules are about: a database with the place of every value, how its file ran, and what a rule is.

`located` is the tree of values, `database` what rules ask about it, `facts` how the file ran, `fix` what mends a
finding, `rule` a rule and what it yields.
"""
