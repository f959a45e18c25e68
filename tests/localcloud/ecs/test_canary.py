def test_canary_runs_through(cloud):
    cloud.up()
    assert cloud.releases_running() == ["1", "1"]
    arn = cloud.release("2")
    print(cloud.see(arn))
    print(cloud.router.changes)
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.status(arn) == "SUCCESSFUL"
    print(cloud.router.changes)
    assert cloud.releases_running() == ["2", "2"]
