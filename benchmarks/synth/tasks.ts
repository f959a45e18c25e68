// What the service, the workers and the page are made of: tasks, alarms, names, steps of scaling.
import * as cdk from 'aws-cdk-lib';
import * as appscaling from 'aws-cdk-lib/aws-applicationautoscaling';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as targets from 'aws-cdk-lib/aws-route53-targets';
import * as secrets from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { Common, Data, Network, Rotation } from './foundation';
import type { Routing } from './service';
import { Base, PREFIX, Topics, logGroup, role } from './shared';

export function zone(scope: Construct): route53.IHostedZone {
  return route53.HostedZone.fromHostedZoneAttributes(scope, 'Zone', {
    hostedZoneId: 'Z0333333333EXAMPLE', zoneName: 'handbook.example.com',
  });
}

export function name(scope: Construct, recordName: string, balancer: elb.ApplicationLoadBalancer): void {
  const record = {
    zone: zone(new Construct(scope, `${recordName}Alias`)),
    recordName,
    target: route53.RecordTarget.fromAlias(new targets.LoadBalancerTarget(balancer)),
  };
  new route53.ARecord(scope, 'A', record);
  new route53.AaaaRecord(scope, 'Aaaa', record);
}

export function balancer(
  scope: Base, network: Network, common: Common, group: ec2.SecurityGroup, prefix: string,
): elb.ApplicationLoadBalancer {
  const made = new elb.ApplicationLoadBalancer(scope, 'LoadBalancer', {
    vpc: network.vpc,
    vpcSubnets: network.service,
    internetFacing: false,
    securityGroup: group,
    deletionProtection: true,
    dropInvalidHeaderFields: true,
  });
  made.setAttribute('access_logs.s3.enabled', 'true');
  made.setAttribute('access_logs.s3.bucket', common.accessLogs.bucketName);
  made.setAttribute('access_logs.s3.prefix', `elb/${prefix}`);
  return made;
}

export function alarm(
  scope: Construct, to: Topics, id: string, metric: cloudwatch.IMetric, threshold: number,
): cloudwatch.Alarm {
  const made = new cloudwatch.Alarm(scope, id, {
    alarmName: `${PREFIX}-${id.toLowerCase()}`,
    alarmDescription: `${id}: see the runbook`,
    metric,
    threshold,
    evaluationPeriods: 3,
    datapointsToAlarm: 2,
    treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
  });
  const action = new actions.SnsAction(to.critical);
  made.addAlarmAction(action);
  made.addOkAction(action);
  return made;
}

export interface Below {
  common: Common;
  network: Network;
  data: Data;
  rotation: Rotation;
  routing: Routing;
}

export interface Task {
  definition: ecs.FargateTaskDefinition;
  group: ec2.SecurityGroup;
  logs: logs.LogGroup;
}

/** The parameters of a release, as the templates take them. */
export class Release {
  readonly image: string;
  readonly environment: Record<string, string>;

  constructor(scope: Base) {
    const parameter = (id: string): string =>
      new cdk.CfnParameter(scope, id, { type: 'String' }).valueAsString;
    this.image = parameter('ImageUri');
    this.environment = Object.fromEntries(
      ['ReleaseId', 'CorpusUri', 'BundleUri', 'ReleaseConfiguration']
        .map((id) => [id.toUpperCase(), parameter(id)]));
  }
}

export function task(
  scope: Base, below: Below, what: string, image: string,
  environment: Record<string, string>, port?: number,
): Task {
  const group = logGroup(scope, 'Logs', `/llmops/${PREFIX}/${what}`, below.common.key);
  const secretArns = [...below.data.providers, below.data.cacheUrl].map((each) => each.secretArn);
  const definition = new ecs.FargateTaskDefinition(scope, 'Task', {
    family: `${PREFIX}-${what}`,
    cpu: 1024,
    memoryLimitMiB: 2048,
    runtimePlatform: {
      cpuArchitecture: ecs.CpuArchitecture.ARM64,
      operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
    },
    taskRole: role(scope, 'TaskRole', 'ecs-tasks.amazonaws.com', what === 'ui' ? [
      [['secretsmanager:GetSecretValue'], [below.data.tokens.secretArn]],
    ] : [
      [['s3:GetObject'], [below.data.artifacts.arnForObjects('corpus/*')]],
      [['secretsmanager:GetSecretValue'],
        [below.rotation.databaseUser.secretArn, below.data.tokens.secretArn]],
      [['dynamodb:GetItem', 'dynamodb:PutItem'], [below.data.sessions.tableArn]],
      [['sqs:SendMessage', 'sqs:ReceiveMessage'], [below.data.jobs.queueArn]],
      [['kms:Decrypt', 'kms:GenerateDataKey'], [below.common.key.keyArn]],
      [['xray:PutTraceSegments'], ['*']],
    ]),
    executionRole: role(scope, 'ExecutionRole', 'ecs-tasks.amazonaws.com', [
      [['ecr:GetAuthorizationToken'], ['*']],
      [['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'], [below.data.repository.repositoryArn]],
      [['secretsmanager:GetSecretValue'], secretArns],
      [['logs:CreateLogStream', 'logs:PutLogEvents'], [group.logGroupArn]],
      [['kms:Decrypt'], [below.common.key.keyArn]],
    ]),
  });
  // By their ARNs: the key of a secret's own construct would let this role in, in its own stack.
  const injected = (id: string, secret: secrets.ISecret): ecs.Secret => ecs.Secret.fromSecretsManager(
    secrets.Secret.fromSecretCompleteArn(scope, id, secret.secretArn));
  const keys = Object.fromEntries(below.data.providers.map(
    (each, index) => [`PROVIDER_${index}`, injected(`Provider${index}`, each)]));
  definition.addContainer(what, {
    image: ecs.ContainerImage.fromRegistry(image),
    environment: { DATABASE_HOST: below.data.instance.instanceEndpoint.hostname, ...environment },
    secrets: { ...keys, CACHE_URL: injected('CacheUrl', below.data.cacheUrl) },
    logging: ecs.LogDriver.awsLogs({ logGroup: group, streamPrefix: what }),
    portMappings: port ? [{ containerPort: port }] : [],
    readonlyRootFilesystem: true,
  });
  const reach = new ec2.SecurityGroup(scope, 'Group', {
    vpc: below.network.vpc, description: `The tasks of ${what}`, allowAllOutbound: false,
  });
  reach.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), 'HTTPS');
  return { definition, group: reach, logs: group };
}

export function allow(
  scope: Construct, id: string, from: ec2.ISecurityGroup, to: ec2.ISecurityGroup, port: number,
): void {
  const range = { ipProtocol: 'tcp', fromPort: port, toPort: port };
  new ec2.CfnSecurityGroupEgress(scope, `${id}Out`, {
    ...range, groupId: from.securityGroupId, destinationSecurityGroupId: to.securityGroupId,
  });
  new ec2.CfnSecurityGroupIngress(scope, `${id}In`, {
    ...range, groupId: to.securityGroupId, sourceSecurityGroupId: from.securityGroupId,
  });
}

export function step(
  scope: Construct, to: Topics, id: string, scaling: ecs.ScalableTaskCount,
  metric: cloudwatch.IMetric, change: number,
): void {
  const action = new appscaling.StepScalingAction(scope, `${id}Step`, {
    scalingTarget: scaling.node.findChild('Target') as appscaling.ScalableTarget,
    adjustmentType: appscaling.AdjustmentType.CHANGE_IN_CAPACITY,
    cooldown: cdk.Duration.minutes(15),
  });
  action.addAdjustment({ adjustment: change, lowerBound: 0 });
  alarm(scope, to, id, metric, 1).addAlarmAction(
    new actions.ApplicationScalingAction(action));
}
