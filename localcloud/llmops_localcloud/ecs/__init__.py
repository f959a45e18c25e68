"""ECS service deployments on the local cloud: CANARY, LINEAR, BLUE_GREEN and a simple ROLLING.

Theory of operation. A deployment is a generator (`machine`) that asks a crew for one thing at a
time and yields the wait for its end; a rollback is an exception thrown into it. It touches neither
a clock nor a port. The crew (`crew`, `traffic`, `hooks`, `guard`, `scheduler`) turns what is asked
into calls on the ports of `llmops_localcloud.ports`, and the `engine` turns the crank:

1. with the lock, list what has to be observed;
2. without it, observe (tasks, target health, alarms) through the ports;
3. with the lock, let the scheduler and every deployment act on what was seen; their calls to the
   outside are only queued;
4. without the lock, make the queued calls, in order.

So no port is ever called under the lock that the API's handlers need. `responses` is the AWS API
over the engine, `cloudformation` the two resource types, `describe` what AWS would show.

What one physical second is: task start-up and Lambda functions run in real time even when the
cloud's clock runs faster, so their limits (health-check grace, 30 s of a function) are counted in
real seconds; every other duration (bake, time-outs, callback delays) is the cloud's own time.
"""
