// The service and what is in front of it and beside it: routing, service, workers, page.
import * as cdk from 'aws-cdk-lib';
import * as appscaling from 'aws-cdk-lib/aws-applicationautoscaling';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as cognito from 'aws-cdk-lib/aws-cognito';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as elbActions from 'aws-cdk-lib/aws-elasticloadbalancingv2-actions';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import * as wafv2 from 'aws-cdk-lib/aws-wafv2';
import { Common, Network } from './foundation';
import { Base, PREFIX, kitFunction, logGroup, role } from './shared';
import { Below, Release, Task, alarm, allow, balancer, name, step, task, zone } from './tasks';

export class Routing extends Base {
  readonly balancer: elb.ApplicationLoadBalancer;
  readonly blue: elb.ApplicationTargetGroup;
  readonly green: elb.ApplicationTargetGroup;
  readonly production: elb.ApplicationListenerRule;
  readonly test: elb.ApplicationListenerRule;
  readonly acl: wafv2.CfnWebACL;
  readonly group: ec2.SecurityGroup;

  constructor(app: cdk.App, network: Network, common: Common) {
    super(app, 'routing');
    this.acl = this.webAcl(common);
    const certificate = new acm.Certificate(this, 'Certificate', {
      domainName: 'handbook.example.com',
      validation: acm.CertificateValidation.fromDns(zone(this)),
    });
    this.group = new ec2.SecurityGroup(this, 'Group', {
      vpc: network.vpc, description: 'The load balancer',
    });
    for (const port of [80, 443, 8443]) {
      this.group.addIngressRule(ec2.Peer.ipv4('10.0.0.0/16'), ec2.Port.tcp(port), 'The VPC');
    }
    this.balancer = balancer(this, network, common, this.group, 'service');
    [this.blue, this.green] = ['Blue', 'Green'].map((id) =>
      new elb.ApplicationTargetGroup(this, id, {
        vpc: network.vpc,
        port: 8080,
        protocol: elb.ApplicationProtocol.HTTP,
        targetType: elb.TargetType.IP,
        deregistrationDelay: cdk.Duration.seconds(30),
        healthCheck: { path: '/readyz', interval: cdk.Duration.seconds(10) },
      }));
    const rule = (id: string, port: number): elb.ApplicationListenerRule => {
      const listener = new elb.ApplicationListener(this, `${id}Listener`, {
        loadBalancer: this.balancer,
        port,
        protocol: elb.ApplicationProtocol.HTTPS,
        certificates: [certificate],
        sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
        open: false,
        defaultAction: elb.ListenerAction.fixedResponse(503, { messageBody: 'no rule matched' }),
      });
      return new elb.ApplicationListenerRule(this, `${id}Rule`, {
        listener,
        priority: 1,
        conditions: [elb.ListenerCondition.pathPatterns(['/*'])],
        action: elb.ListenerAction.weightedForward([
          { targetGroup: this.blue, weight: 100 }, { targetGroup: this.green, weight: 0 },
        ]),
      });
    };
    this.production = rule('Production', 443);
    this.test = rule('Test', 8443);
    this.balancer.addRedirect({ open: false });
    name(this, 'handbook', this.balancer);
    new wafv2.CfnWebACLAssociation(this, 'Protected', {
      resourceArn: this.balancer.loadBalancerArn, webAclArn: this.acl.attrArn,
    });
  }

  private webAcl(common: Common): wafv2.CfnWebACL {
    const visible = (metricName: string): wafv2.CfnWebACL.VisibilityConfigProperty => ({
      metricName, cloudWatchMetricsEnabled: true, sampledRequestsEnabled: true,
    });
    const managed = ['AmazonIpReputationList', 'CommonRuleSet', 'KnownBadInputsRuleSet'];
    const acl = new wafv2.CfnWebACL(this, 'WebAcl', {
      name: PREFIX,
      scope: 'REGIONAL',
      defaultAction: { allow: {} },
      visibilityConfig: visible(PREFIX),
      rules: [
        {
          name: 'RateLimit',
          priority: 0,
          action: { block: {} },
          statement: { rateBasedStatement: { aggregateKeyType: 'IP', limit: 2000 } },
          visibilityConfig: visible('RateLimit'),
        },
        ...managed.map((each, index) => ({
          name: `AWSManagedRules${each}`,
          priority: index + 1,
          overrideAction: { none: {} },
          statement: {
            managedRuleGroupStatement: { vendorName: 'AWS', name: `AWSManagedRules${each}` },
          },
          visibilityConfig: visible(`AWSManagedRules${each}`),
        })),
      ],
    });
    const group = logGroup(this, 'WebAclLogs', `aws-waf-logs-${PREFIX}`, common.key);
    new wafv2.CfnLoggingConfiguration(this, 'WebAclLogging', {
      resourceArn: acl.attrArn, logDestinationConfigs: [group.logGroupArn],
    });
    return acl;
  }
}

export class Service extends Base {
  readonly cluster: ecs.Cluster;
  readonly task: Task;
  readonly service: ecs.FargateService;

  constructor(app: cdk.App, below: Below) {
    super(app, 'service');
    const { common, network, data, routing } = below;
    const release = new Release(this);
    const gate = kitFunction(this, 'Gate', 'gate', common.key,
      [[['cloudwatch:GetMetricData'], ['*']], [['ecs:DescribeServiceRevisions'], ['*']],
        [['s3:PutObject'], [data.artifacts.arnForObjects('evidence/*')]]],
      { vpc: network.vpc, subnets: network.service });
    this.task = task(this, below, 'service', release.image, release.environment, 8080);
    this.task.definition.addContainer('collector', {
      image: ecs.ContainerImage.fromRegistry('public.ecr.aws/example/collector:1'),
      essential: false,
      logging: ecs.LogDriver.awsLogs({ logGroup: this.task.logs, streamPrefix: 'collector' }),
    });
    this.cluster = new ecs.Cluster(this, 'Cluster', {
      vpc: network.vpc,
      clusterName: PREFIX,
      containerInsightsV2: ecs.ContainerInsights.ENABLED,
      enableFargateCapacityProviders: false,
    });
    const alarms = this.alarms(below);
    this.service = new ecs.FargateService(this, 'Service', {
      cluster: this.cluster,
      serviceName: 'handbook',
      taskDefinition: this.task.definition,
      vpcSubnets: network.service,
      securityGroups: [this.task.group],
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      healthCheckGracePeriod: cdk.Duration.seconds(60),
      deploymentStrategy: ecs.DeploymentStrategy.CANARY,
      canaryConfiguration: { stepPercent: 10, stepBakeTime: cdk.Duration.minutes(1) },
      bakeTime: cdk.Duration.minutes(5),
      deploymentAlarms: { alarmNames: alarms.map((each) => each.alarmName) },
      lifecycleHooks: [new ecs.DeploymentLifecycleLambdaTarget(gate, 'Gate', {
        role: role(this, 'HookRole', 'ecs.amazonaws.com', [
          [['lambda:InvokeFunction'], [gate.functionArn]],
        ]),
        lifecycleStages: [ecs.DeploymentLifecycleStage.POST_TEST_TRAFFIC_SHIFT],
      })],
    });
    this.service.loadBalancerTarget({
      containerName: 'service',
      containerPort: 8080,
      alternateTarget: new ecs.AlternateTarget('Alternate', {
        alternateTargetGroup: routing.green,
        productionListener: ecs.ListenerRuleConfiguration.applicationListenerRule(routing.production),
        testListener: ecs.ListenerRuleConfiguration.applicationListenerRule(routing.test),
        role: role(this, 'InfrastructureRole', 'ecs.amazonaws.com', [
          [['elasticloadbalancing:ModifyRule'], ['*']],
        ]),
      }),
    }).attachToApplicationTargetGroup(routing.blue);
    allow(this, 'Database', this.task.group, data.databaseGroup, 5432);
    allow(this, 'Cache', this.task.group, data.cacheGroup, 6379);
    this.scale(below);
    new ssm.StringParameter(this, 'Coordinates', {
      parameterName: '/llmops/handbook/prod/coordinates',
      stringValue: JSON.stringify({
        cluster: this.cluster.clusterName, service: this.service.serviceName,
        gate: gate.functionName, logs: this.task.logs.logGroupName,
      }),
    });
  }

  private alarms(below: Below): cloudwatch.Alarm[] {
    const { routing, data } = below;
    const to = below.common.topics;
    const dimensions = { LoadBalancer: routing.balancer.loadBalancerFullName };
    const metric = (metricName: string, statistic: string): cloudwatch.Metric =>
      new cloudwatch.Metric({
        namespace: 'AWS/ApplicationELB', metricName, statistic, dimensionsMap: dimensions,
      });
    const share = new cloudwatch.MathExpression({
      expression: '100*(FILL(e5xx,0)/requests)',
      usingMetrics: {
        e5xx: metric('HTTPCode_Target_5XX_Count', 'Sum'), requests: metric('RequestCount', 'Sum'),
      },
    });
    return [
      alarm(this, to, '5xxShare', share, 5),
      alarm(this, to, 'P95Latency', metric('TargetResponseTime', 'p95'), 2),
      alarm(this, to, 'UnhealthyBlue', routing.blue.metrics.unhealthyHostCount(), 0),
      alarm(this, to, 'UnhealthyGreen', routing.green.metrics.unhealthyHostCount(), 0),
      alarm(this, to, 'DatabaseCpu', data.instance.metricCPUUtilization(), 80),
      alarm(this, to, 'DatabaseConnections', data.instance.metricDatabaseConnections(), 400),
      alarm(this, to, 'DatabaseStorage', data.instance.metricFreeStorageSpace(), 1e10),
    ];
  }

  private scale(below: Below): void {
    const scaling = this.service.autoScaleTaskCount({ minCapacity: 3, maxCapacity: 20 });
    const each = (group: elb.ApplicationTargetGroup): cloudwatch.Metric =>
      group.metrics.requestCountPerTarget() as cloudwatch.Metric;
    const [blue, green] = [each(below.routing.blue), each(below.routing.green)];
    new appscaling.CfnScalingPolicy(this, 'Requests', {
      policyName: 'requests-per-task',
      policyType: 'TargetTrackingScaling',
      scalingTargetId: (scaling.node.findChild('Target') as appscaling.ScalableTarget)
        .scalableTargetId,
      targetTrackingScalingPolicyConfiguration: {
        targetValue: 600,
        customizedMetricSpecification: {
          metrics: [
            ...[blue, green].map((metric, index) => ({
              id: `m${index}`,
              returnData: false,
              metricStat: {
                stat: 'Sum',
                metric: { namespace: metric.namespace, metricName: metric.metricName },
              },
            })),
            { id: 'requests', expression: 'm0 + m1', returnData: true },
          ],
        },
      },
    });
    step(this, below.common.topics, 'Quiet', scaling, new cloudwatch.MathExpression({
      expression: 'FILL(blue, 0) + FILL(green, 0)', usingMetrics: { blue, green },
    }), -1);
  }
}

export class Workers extends Base {
  constructor(app: cdk.App, below: Below, service: Service) {
    super(app, 'workers');
    const release = new Release(this);
    const made = task(this, below, 'workers', release.image, release.environment);
    const workers = new ecs.FargateService(this, 'Service', {
      cluster: service.cluster,
      serviceName: `${PREFIX}-workers`,
      taskDefinition: made.definition,
      vpcSubnets: below.network.service,
      securityGroups: [made.group],
      minHealthyPercent: 100,
      circuitBreaker: { rollback: true },
      capacityProviderStrategies: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }],
    });
    allow(this, 'Database', made.group, below.data.databaseGroup, 5432);
    allow(this, 'Cache', made.group, below.data.cacheGroup, 6379);
    const scaling = workers.autoScaleTaskCount({ minCapacity: 0, maxCapacity: 4 });
    const waiting = below.data.jobs.metricApproximateNumberOfMessagesVisible();
    const oldest = below.data.jobs.metricApproximateAgeOfOldestMessage();
    const when = (expression: string): cloudwatch.MathExpression =>
      new cloudwatch.MathExpression({ expression, usingMetrics: { waiting, oldest } });
    const to = below.common.topics;
    step(this, to, 'Wake', scaling, when('IF(FILL(waiting, 0) > 0, FILL(oldest, 1), 0)'), 1);
    step(this, to, 'Late', scaling, when('IF(FILL(waiting, 0) > 0, FILL(oldest, 0), 0)'), 1);
    step(this, to, 'Surplus', scaling, when('IF(FILL(waiting, 0) == 0, FILL(oldest, 1), 0)'), -1);
  }
}

export class Page extends Base {
  constructor(app: cdk.App, below: Below, service: Service) {
    super(app, 'page');
    const { common, network, routing } = below;
    const certificate = new acm.Certificate(this, 'Certificate', {
      domainName: 'page.handbook.example.com',
      validation: acm.CertificateValidation.fromDns(zone(this)),
    });
    const pool = new cognito.UserPool(this, 'Pool', {
      userPoolName: PREFIX,
      selfSignUpEnabled: false,
      mfa: cognito.Mfa.REQUIRED,
      mfaSecondFactor: { sms: false, otp: true },
      passwordPolicy: { minLength: 14 },
      deletionProtection: true,
    });
    const domain = pool.addDomain('Domain', { cognitoDomain: { domainPrefix: PREFIX } });
    const client = pool.addClient('Client', {
      generateSecret: true,
      oAuth: {
        flows: { authorizationCodeGrant: true },
        callbackUrls: ['https://page.handbook.example.com/oauth2/idpresponse'],
      },
    });
    const made = task(this, below, 'ui', 'public.ecr.aws/example/page:1', {}, 8501);
    const front = new ec2.SecurityGroup(this, 'FrontGroup', {
      vpc: network.vpc, description: 'In front of the page', allowAllOutbound: false,
    });
    front.addIngressRule(ec2.Peer.ipv4('10.0.0.0/16'), ec2.Port.tcp(443), 'The VPC');
    const group = new elb.ApplicationTargetGroup(this, 'Tasks', {
      vpc: network.vpc,
      port: 8501,
      protocol: elb.ApplicationProtocol.HTTP,
      targetType: elb.TargetType.IP,
      stickinessCookieDuration: cdk.Duration.hours(1),
      healthCheck: { path: '/_stcore/health' },
    });
    const page = new ecs.FargateService(this, 'Service', {
      cluster: service.cluster,
      serviceName: `${PREFIX}-ui`,
      taskDefinition: made.definition,
      vpcSubnets: network.service,
      securityGroups: [made.group],
      minHealthyPercent: 100,
      desiredCount: 1,
      circuitBreaker: { rollback: true },
    });
    page.loadBalancerTarget({ containerName: 'ui', containerPort: 8501 })
      .attachToApplicationTargetGroup(group);
    const own = balancer(this, network, common, front, 'page');
    own.addListener('Listener', {
      port: 443,
      certificates: [certificate],
      sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
      open: false,
      defaultAction: new elbActions.AuthenticateCognitoAction({
        userPool: pool,
        userPoolClient: client,
        userPoolDomain: domain,
        next: elb.ListenerAction.forward([group]),
      }),
    });
    own.addRedirect({ open: false });
    allow(this, 'Service', made.group, routing.group, 443);
    name(this, 'page', own);
    new wafv2.CfnWebACLAssociation(this, 'Protected', {
      resourceArn: own.loadBalancerArn, webAclArn: routing.acl.attrArn,
    });
  }
}
