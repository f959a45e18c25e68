"""CloudFormation: moto's resource models, driven the way AWS drives them.

moto carries out a stack inside the API call, in the order of its template, and cannot roll back.
Here an operation runs in the background, in order of dependency, with an event per step; a
resource that fails rolls the stack back; and a type nobody emulates is said so in an event.
"""
