"""An Application Load Balancer as one process of its own on 127.0.0.1.

`desired` says what it shall do (listeners, rules, target groups), `control` starts the process,
hands it the desired state and receives counts and health; everything else runs inside it:
`matching` (which rule), `targets` (which target), `proxy` (one request), `pool` (connections),
`health` (checks), `counts` (what CloudWatch is told), `process` (sockets, control channel).

Where the behaviour comes from: "Listener rules", "Target group attributes", "Troubleshoot your
Application Load Balancers" and "CloudWatch metrics" of AWS's user guide for Application Load
Balancers. Not emulated: TLS, HTTP/2, WebSockets, stickiness, authentication actions, Lambda
targets, WAF. The adapter refuses them when they are asked for.
"""
